//! Lists of every form, and what is said of those that fit none.

use super::*;

fn read(text: &str) -> Parsed {
    parse(text, Format::Auto, None).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

/// (line, clip, label) of each row.
fn rows(parsed: &Parsed) -> Vec<(usize, &str, &str)> {
    parsed.rows.iter().map(|row| (row.line, row.clip.as_str(), row.label.as_str())).collect()
}

fn wrong(text: &str, format: Format, between: Option<Between>) -> Vec<(usize, String)> {
    let parsed = parse(text, format, between).unwrap();
    parsed.problems.into_iter().map(|problem| (problem.line, problem.reason)).collect()
}

#[test]
fn video_list_mmaction2_lists_are_read_with_every_delimiter() {
    let parsed = read("# clips\na.mp4 0\r\nb c.mp4  1\n\n\"d e.mp4\"\t12\n");
    assert_eq!(parsed.format, Format::Mmaction2);
    assert_eq!(rows(&parsed), [(2, "a.mp4", "0"), (3, "b c.mp4", "1"), (5, "d e.mp4", "12")]);
    assert_eq!(parsed.notes, ["read as `mmaction2`: each line ends with a number behind blanks"]);
    let parsed = read("my clips/a 1.mp4,0\nb 2.mp4, 1\n");
    assert_eq!(rows(&parsed), [(1, "my clips/a 1.mp4", "0"), (2, "b 2.mp4", "1")]);
    assert!(parsed.notes[0].contains("behind `,`"), "{:?}", parsed.notes);
    let parsed = parse("a b;3\nc;4\n", Format::Mmaction2, Some(Between::Sign(';'))).unwrap();
    assert_eq!(rows(&parsed), [(1, "a b", "3"), (2, "c", "4")]);
    // Names in place of numbers.
    let parsed = parse("a.mp4 wave\nb.mp4 push\n", Format::Mmaction2, None).unwrap();
    assert_eq!(rows(&parsed), [(1, "a.mp4", "wave"), (2, "b.mp4", "push")]);
}

#[test]
fn video_list_rawframe_lists_have_a_number_of_frames_in_every_line() {
    let parsed = read("wave/a 30 0\npush up/b 7 1\n");
    let frames: Vec<_> = parsed.rows.iter().map(|row| (row.clip.as_str(), row.frames)).collect();
    assert_eq!(frames, [("wave/a", Some(30)), ("push up/b", Some(7))]);
    assert!(parsed.notes.iter().any(|note| note.contains("number of frames")), "{:?}", parsed.notes);
    // Only one of two lines has one, so it belongs to the path.
    let parsed = read("take 2 0\nlast 1\n");
    assert_eq!(rows(&parsed), [(1, "take 2", "0"), (2, "last", "1")]);
    assert_eq!(parsed.rows[0].frames, None);
}

#[test]
fn video_list_several_labels_of_a_video_are_no_number_of_frames() {
    for (text, between) in
        [("a.mp4 0 2\nb.mp4 0 3\n", None), ("\"a.mp4\" 0 2\nb.mp4 1\n", None), ("a.mp4 0 8 1\n", None)]
    {
        let found = wrong(text, Format::Mmaction2, between);
        assert!(found[0].0 == 1 && found[0].1.contains("several labels of a clip are not read"), "{text}: {found:?}");
        assert!(found[0].1.contains("behind the video \"a.mp4\": `0"), "{found:?}");
    }
    assert_eq!(wrong("a.mp4,0,2\nb.mp4,0\n", Format::Auto, Some(Between::Sign(','))).len(), 1);
    let found = wrong("a 0 2\nb 3 1\n", Format::Auto, None);
    assert!(found.len() == 1 && found[0].1.contains("the number before the label is 0"), "{found:?}");
}

#[test]
fn video_list_rawframe_lists_may_have_the_first_frame_too() {
    let parsed = read("wave/a 30 8 0\n\"wave/take 2\" 0 4 1\n");
    let found: Vec<_> = parsed.rows.iter().map(|row| (row.clip.as_str(), row.frames, row.offset.clone())).collect();
    let offset = |path: &str, from, to| Some((path.to_owned(), Span::Frames(from, to)));
    // Whether a number is a first frame or belongs to the name is seen by what is there.
    let expected =
        [("wave/a 30", Some(8), offset("wave/a", 30, 38)), ("\"wave/take 2\" 0", Some(4), offset("wave/take 2", 0, 4))];
    assert_eq!(found, expected);
    assert!(read("wave/a 30 0\n").rows[0].offset.is_none());
}

#[test]
fn video_list_all_damaged_lines_are_named() {
    let text = "a.mp4 0\nb.mp4\nc.mp4 1\nd.mp4 wave\ne.mp4 2\n";
    let found = wrong(text, Format::Auto, None);
    assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4]);
    assert!(found[0].1.contains("one column") && found[0].1.contains("\"b.mp4\""), "{found:?}");
    assert!(found[1].1.contains("`wave` is no number"), "{found:?}");
    let found = wrong("a x\nb y\nc 3\n", Format::Mmaction2, None);
    assert!(found[0].0 == 3 && found[0].1.contains("`3` is a number, and those of other lines are names"), "{found:?}");
}

#[test]
fn video_list_kinetics_tables_name_files_as_crawlers_do() {
    let text = "\"label\",\"youtube_id\",\"time_start\",\"time_end\",\"split\",\"is_cc\"\n\
                push up,-abcdefghij,10,20,train,0\n\"pull, up\",abcdefghijk,7.0,17.0,validate,1\n";
    let parsed = read(text);
    assert_eq!(parsed.format, Format::Kinetics);
    let expected = [(2, "-abcdefghij_000010_000020", "push up"), (3, "abcdefghijk_000007_000017", "pull, up")];
    assert_eq!(rows(&parsed), expected);
    assert!(parsed.rows.iter().all(|row| row.split.is_none()), "the split is that of Kinetics");
    let found =
        wrong("label,youtube_id,time_start,time_end\na,b,x,20\n,b,1,2\na,,1,2\na,b,5,5\na,b\n", Format::Auto, None);
    assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    for (at, words) in [
        "time_start is `x`",
        "label is empty",
        "youtube_id is empty",
        "ends at 5",
        "it has 2 columns, and the header has 4",
    ]
    .iter()
    .enumerate()
    {
        assert!(found[at].1.contains(words), "{words}: {found:?}");
    }
    let why = parse("youtube_id,time_start,time_end,split\nb,1,2,test\n", Format::Auto, None).unwrap_err();
    assert!(why.contains("line 1 is no header with label") && why.contains("test set"), "{why}");
    let why = parse("push up,abcdefghijk,10,20\n", Format::Kinetics, None).unwrap_err();
    assert!(why.contains("line 1 is no header with youtube_id"), "{why}");
}

#[test]
fn video_list_ssv2_lists_have_the_template_as_class() {
    let text = "[\n {\"id\": \"78687\", \"label\": \"holding potato\", \"template\": \"Holding [something]\", \
                \"placeholders\": [\"potato\"]},\n\n {\"id\": 5, \"template\": \"Turning\\n\"}]";
    let parsed = read(text);
    assert_eq!(parsed.format, Format::Ssv2);
    assert_eq!(rows(&parsed), [(2, "78687", "Holding [something]"), (4, "5", "Turning")]);
    let found =
        wrong("[{\"id\": \"1\"},\n{\"template\": \"x\"},\n{\"id\": \"2\", \"label\": \"y\"},\n7]", Format::Auto, None);
    assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for (at, words) in
        ["file of the test set", "it has no id", "a label and no template", "invalid type"].iter().enumerate()
    {
        assert!(found[at].1.contains(words), "{words}: {found:?}");
    }
    let why = parse("{\"a\": 1}", Format::Auto, None).unwrap_err();
    assert!(why.contains("no JSON array"), "{why}");
    assert!(parse("[{\"id\": \"1\",\n", Format::Auto, None).unwrap_err().contains("line 2"));
}

#[test]
fn video_list_tables_name_their_columns() {
    let text = "Label;Path;split;start;end\nwave;a b.mp4;train;1.5;3\npush;c.mp4;Validation;;\n";
    let parsed = read(text);
    assert_eq!(parsed.format, Format::Csv);
    assert!(parsed.notes[0].contains("between `;`"), "{:?}", parsed.notes);
    assert_eq!(rows(&parsed), [(2, "a b.mp4", "wave"), (3, "c.mp4", "push")]);
    assert_eq!(parsed.rows[0].span, Some(Span::Seconds(1.5, 3.0)));
    assert_eq!((parsed.rows[1].span, parsed.rows[1].split), (None, Some(Split::Val)));
    let parsed = read("file\tclass\tstart_frame\tend_frame\na.mp4\twave\t3\t9\n");
    assert_eq!(parsed.rows[0].span, Some(Span::Frames(3, 9)));
    let found = wrong(
        "path,label,split,start,end\na,x,some,,\nb,x,test,3,2\nc,x,test,1,\n,x,test,,\n\
         d,,test,,\ne,x,test,-1,2\nf,x,test,nan,2\n",
        Format::Auto,
        None,
    );
    assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8]);
    for (at, words) in [
        "split is `some`",
        "not behind its start",
        "end is ``",
        "path is empty",
        "label is empty",
        "start is `-1`",
        "`nan`",
    ]
    .iter()
    .enumerate()
    {
        assert!(found[at].1.contains(words), "{words}: {found:?}");
    }
    for (start, end) in [("time_start", "time_end"), ("start_time", "end_time"), ("t_start", "t_end")] {
        let parsed = read(&format!("path,label,{start},{end}\na,x,1,2.5\n"));
        assert_eq!(parsed.rows[0].span, Some(Span::Seconds(1.0, 2.5)), "{start}");
    }
    let parsed = read("path,label,fps,Author\na,x,25,me\n");
    assert!(parsed.notes.contains(&"columns that are not read: fps, author".to_owned()), "{:?}", parsed.notes);
    for column in ["start_ms", "from", "last_frame", "timestamp_end", "clip_start", "offset"] {
        let why = parse(&format!("path,label,{column}\na,x,1\n"), Format::Auto, None).unwrap_err();
        assert!(why.contains(&format!("`{column}` seems to say where a clip begins or ends")), "{why}");
    }
    // Lines without content before the header.
    let parsed = read("\n # path,label\n\npath,label\n# more\na,x\n");
    assert_eq!((parsed.format, rows(&parsed)), (Format::Csv, vec![(6, "a", "x")]));
    let found = wrong("# clips\npath,label\na\n", Format::Csv, None);
    assert_eq!(found, [(3, "it has 1 columns, and the header has 2".to_owned())]);
    assert_eq!(wrong("path,label\r\n# c\r\n\r\na,x\r\nb\r\n# d\r\nc\r\n", Format::Csv, None)[1].0, 7, "of Windows");
    assert!(parse("# clips\na,x\n", Format::Csv, None).unwrap_err().contains("line 2 is no header"));
    for (text, words) in [
        ("path,label,start\na,x,1\n", "the header has start and no end"),
        ("path,label,start,end,start_frame,end_frame\na,x,1,2,3,4\n", "keep two of them"),
        ("a.mp4,wave\n", "line 1 is no header with a path"),
        ("path,x\na,b\n", "line 1 is no header with a label"),
    ] {
        let why = parse(text, Format::Csv, None).unwrap_err();
        assert!(why.contains(words), "{words}: {why}");
    }
    assert!(parse("path label\n", Format::Csv, Some(Between::Blanks)).unwrap_err().contains("not blanks"));
}

#[test]
fn video_list_a_list_that_fits_none_or_two_forms_says_so() {
    for (text, words) in [
        ("", "it has no line"),
        ("# only this\n\n", "it has no line"),
        ("a.mp4,wave\nb.mp4,push\n", "no form of list fits"),
        ("wave/a\npush/b\n", "line 1 is \"wave/a\""),
        ("label,youtube_id,time_start,time_end,path\nx,b,1,2,c\n", "2 forms of list fit: `kinetics`"),
        ("a, 3\nb, 4\n", "2 forms of list fit: `mmaction2` (each line ends with a number behind blanks) and"),
    ] {
        let why = parse(text, Format::Auto, None).unwrap_err();
        assert!(why.contains(words), "{words}: {why}");
    }
    // The option decides.
    let parsed = parse("a, 3\nb, 4\n", Format::Auto, Some(Between::Sign(','))).unwrap();
    assert_eq!(rows(&parsed), [(1, "a", "3"), (2, "b", "4")]);
    let parsed = parse("wave/a\ntest0//b/c\n", Format::ClassClip, None).unwrap();
    assert_eq!(rows(&parsed), [(1, "wave/a", "wave"), (2, "b/c", "test0")]);
    assert_eq!(wrong("wave\n/b\n", Format::ClassClip, None).len(), 2);
    for option in ["", "ab", "x", "1"] {
        assert!(Between::of(option).is_err(), "{option}");
    }
    assert_eq!((Between::of(" "), Between::of("\t")), (Ok(Between::Blanks), Ok(Between::Sign('\t'))));
}
