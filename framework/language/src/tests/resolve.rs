//! `extends`, `--set`, variants and `${…}`.

use crate::*;
use std::path::PathBuf;

fn files(list: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in list {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let first = directory.path().join(list[0].0);
    (directory, first)
}

fn text(text: &str, sets: &[&str]) -> Result<Node, Diagnostics> {
    changed(text, sets, &[])
}

fn changed(text: &str, sets: &[&str], unsets: &[&str]) -> Result<Node, Diagnostics> {
    let owned = |list: &[&str]| list.iter().map(|argument| argument.to_string()).collect();
    let arguments = Arguments { sets: owned(sets), unsets: owned(unsets), others: Vec::new() };
    load_text("r.yaml", text, &arguments).map(|document| document.root)
}

fn load(path: &std::path::Path) -> Result<Document, Diagnostics> {
    crate::load(path, &Arguments::default())
}

fn variant(root: &mut Node, yaml: &str) -> Result<(), Diagnostics> {
    apply_variant(root, &node(yaml), &mut Vec::new())
}

fn node(yaml: &str) -> Node {
    read_str("expected", yaml).unwrap()
}

fn first(result: Result<Node, Diagnostics>) -> Diagnostic {
    result.unwrap_err().into_vec().remove(0)
}

#[test]
fn extends_merges_maps_and_replaces_the_rest() {
    let (_keep, path) = files(&[
        ("a.yaml", "extends: [sub/b.yaml, c.yaml]\ntrain: {lr: 0.1}\nlist: [9]\n"),
        ("sub/b.yaml", "extends: d.yaml\ntrain: {lr: 1.0, steps: 5}\nlist: [1, 2]\nonly: b\n"),
        ("sub/d.yaml", "train: {seed: 7}\n"),
        ("c.yaml", "train: {steps: 6}\n"),
    ]);
    let document = load(&path).unwrap();
    assert_eq!(document.root, node("{train: {seed: 7, lr: 0.1, steps: 6}, list: [9], only: b}"));
    let origin = &document.root.at("train.seed").unwrap().origin;
    assert!(origin.place().unwrap().source.name.ends_with("d.yaml"));
}

#[test]
fn a_variant_extends_a_recipe_and_changes_it() {
    let (_keep, path) = files(&[
        (
            "study.yaml",
            "extends: sub/base.yaml\nname: all\nstudy: {variants: {a: {extends: sub/a.yaml, task.shot: 5}, b: {}}}\n",
        ),
        ("sub/base.yaml", "name: base\ntask: {shot: 1, way: 5}\n"),
        ("sub/a.yaml", "extends: base.yaml\nname: a\nseed: 9\nadapter: {type: aim}\noptimizer: {rate: 2}\n"),
    ]);
    let root = load(&path).unwrap().root;
    assert_eq!(root.at("name").unwrap(), &node("all"));
    let variants = root.at("study.variants").unwrap();
    assert_eq!(variants, &node("{a: {adapter: {type: aim}, optimizer: {rate: 2}, task: {shot: 5}}, b: {}}"));
    let place = variants.at("a.adapter").unwrap().origin.place().unwrap();
    assert!(place.source.name.ends_with("a.yaml"));
    let (_keep, path) = files(&[("study.yaml", "study: {variants: {a: {extends: gone.yaml}}}\n")]);
    assert_eq!(load(&path).unwrap_err().into_vec()[0].code, codes::UNREADABLE);
}

#[test]
fn a_circle_of_extends_is_named() {
    let (_keep, path) =
        files(&[("a.yaml", "extends: b.yaml"), ("b.yaml", "extends: ./c.yaml"), ("c.yaml", "x: 1\nextends: b.yaml")]);
    let problem = load(&path).unwrap_err().into_vec().remove(0);
    assert_eq!(problem.code, codes::EXTENDS);
    assert!(problem.message.contains("b.yaml → ") && problem.message.contains("c.yaml → "), "{problem}");
    assert_eq!(problem.origin.unwrap().place().unwrap().line, 2);
}

#[test]
fn a_missing_parent_is_shown_at_its_extends() {
    let (_keep, path) = files(&[("a.yaml", "x: 1\nextends: none.yaml\n")]);
    let problem = load(&path).unwrap_err().into_vec().remove(0);
    assert_eq!((problem.code, problem.origin.unwrap().place().unwrap().line), (codes::UNREADABLE, 2));
    let (_keep, path) = files(&[("a.yaml", "extends: [3]\n")]);
    assert_eq!(load(&path).unwrap_err().into_vec()[0].code, codes::EXTENDS);
}

#[test]
fn extending_the_same_file_often_stays_cheap() {
    let names: Vec<String> = (0..30).map(|i| format!("{i}.yaml")).collect();
    let texts: Vec<String> = (1..31).map(|i| format!("extends: [{i}.yaml, {i}.yaml]\n")).collect();
    let mut list: Vec<(&str, &str)> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    list.push(("30.yaml", "x: 1\n"));
    let (_keep, path) = files(&list);
    assert_eq!(load(&path).unwrap().root, node("{x: 1}"));
}

#[test]
fn a_new_type_drops_the_old_options() {
    let base = "adapter: {type: ma, ratio: 4, at: all}\n";
    assert_eq!(text(base, &["adapter.type=none"]).unwrap(), node("{adapter: {type: none}}"));
    assert_eq!(text(base, &["adapter.type=ma"]).unwrap(), node(base));
    let both = text(base, &["adapter.rank=8", "adapter.type=lora"]).unwrap();
    assert_eq!(both, node("{adapter: {type: lora, rank: 8}}"));
    assert_eq!(text(base, &["adapter={type: x}"]).unwrap(), node("{adapter: {type: x}}"));
    assert_eq!(text(base, &["adapter={ratio: 2}"]).unwrap(), node("{adapter: {type: ma, ratio: 2, at: all}}"));
    let (_keep, path) = files(&[("a.yaml", "extends: b.yaml\nadapter: {type: aim}"), ("b.yaml", base)]);
    assert_eq!(load(&path).unwrap().root, node("{adapter: {type: aim}}"));
}

#[test]
fn variants_are_dotted_or_nested() {
    let mut root = node("{a: {type: x, p: 1}, l: [{k: 1}, {k: 2}], t: 1}");
    variant(&mut root, "{a.q: 5, a.type: y, l.1.k: 9, n: {m: 1}, t: ~}").unwrap();
    assert_eq!(root, node("{a: {type: y, q: 5}, l: [{k: 1}, {k: 9}], t: ~, n: {m: 1}}"));
    assert_eq!(variant(&mut root, "'l[7].k': 1").unwrap_err().into_vec()[0].code, codes::ARGUMENT);
    let problem = variant(&mut root, "a.q.z: 1").unwrap_err();
    assert!(problem.to_string().contains("`a.q` is the integer `5`"), "{problem}");
    assert!(variant(&mut root, &format!("{}: 1", ["a"; 400].join("."))).is_err());
    assert!(variant(&mut root, "3").is_err());
    variant(&mut root, "").unwrap();
}

#[test]
fn lists_are_reached_by_index_and_grow() {
    let base = "l: [{k: 1}, 2]\nm: [[5]]\n";
    assert_eq!(text(base, &["l[0].k=9", "l[+]=3", "m[0][0]=7"]).unwrap(), node("{l: [{k: 9}, 2, 3], m: [[7]]}"));
    let problem = first(text(base, &["l[2]=1"]));
    assert!(problem.to_string().contains("`l[2]` does not exist: `l` is a list of 2"), "{problem}");
    assert_eq!(changed(base, &[], &["l[0]", "m"]).unwrap(), node("{l: [2]}"));
}

#[test]
fn what_is_unset_must_be_there() {
    assert_eq!(changed("{a: {b: 1, c: 2}}", &[], &["a.b"]).unwrap(), node("{a: {c: 2}}"));
    // Removed first, so that it can be given again.
    assert_eq!(changed("{a: {b: 1, c: 2}}", &["a.d=3"], &["a"]).unwrap(), node("{a: {d: 3}}"));
    let problem = first(changed("{a: {steps: 1}}", &[], &["a.stepz"]));
    assert_eq!(problem.code, codes::NO_EFFECT);
    assert!(problem.to_string().contains("did you mean `steps`?"), "{problem}");
    assert_eq!(first(changed("{}", &[], &["a=1"])).code, codes::ARGUMENT);
    assert_eq!(first(changed("{}", &[], &["a..b"])).code, codes::ARGUMENT);
}

#[test]
fn a_misspelt_variant_is_not_made() {
    let study = "study: {variants: {small: {x: 1}}}";
    assert!(text(study, &["study.variants.small.x=2"]).is_ok());
    let problem = first(text(study, &["study.variants.smal.x=2"]));
    assert_eq!(problem.code, codes::NO_EFFECT);
    assert!(problem.to_string().contains("did you mean `small`?"), "{problem}");
    assert!(text(study, &["study.variants.large={x: 3}"]).is_ok());
}

#[test]
fn keys_with_dots_are_reached_by_their_path() {
    let study = "study: {variants: {v1.0: {task.way: 3, task.shot: 1}}, axes: {a.b: [1, 2]}}\ng: {x.y: {r: 1}}\n";
    let sets = ["study.variants.v1.0.task.way=4", "study.axes.a.b[1]=3", "study.axes.c.d=[5]", "g.x.y.r=2"];
    let expected =
        "study: {variants: {v1.0: {task.way: 4, task.shot: 1}}, axes: {a.b: [1, 3], c.d: [5]}}\ng: {x.y: {r: 2}}\n";
    assert_eq!(text(study, &sets).unwrap(), node(expected));
    let unset = changed(study, &[], &["study.variants.v1.0.task.way", "study.axes.a.b", "g.x.y"]).unwrap();
    assert_eq!(unset, node("study: {variants: {v1.0: {task.shot: 1}}, axes: {}}\ng: {}\n"));
    let mut root = node("{a: {b: 1}}");
    assert!(variant(&mut root, "{a.b: 2, a: {b: 3}}").unwrap_err().to_string().contains("given twice"));
}

#[test]
fn items_are_removed_and_lists_begun() {
    let base = "l: [0, 1, 2, 3]";
    assert_eq!(changed(base, &[], &["l[0]", "l[2]"]).unwrap(), node("l: [1, 3]"));
    assert_eq!(text("", &["l[+]=1", "l[+]=2"]).unwrap(), node("l: [1, 2]"));
    assert!(first(text("", &["l[0]=1"])).to_string().contains("there is no list at `l`"));
}

#[test]
fn dropped_options_are_reported() {
    let arguments = Arguments { sets: vec!["a.type=y".into()], ..Arguments::default() };
    let document = load_text("r.yaml", "a: {type: x, p: 1, q: 2}", &arguments).unwrap();
    assert_eq!(document.notes.len(), 1);
    assert_eq!(document.notes[0].message, "`x` becomes `y`, which has no option p, q: dropped");
    let unchanged = load_text("r.yaml", "a: {type: x}", &arguments).unwrap();
    assert_eq!(unchanged.notes, []);
}

#[test]
fn places_inside_a_set_value_are_places_in_the_argument() {
    let root = text("", &["a={b: 1, é: [2, three]}"]).unwrap();
    let span = |path: &str| match &root.at(path).unwrap().origin {
        Origin::Argument { span, .. } => span.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((span("a.b"), span("a.é[1]")), (6..7, 16..21));
}

#[test]
fn recipe_and_home_folders_are_written_out() {
    let (_keep, path) = files(&[
        ("a.yaml", "extends: sub/b.yaml\nhere: recipe:clips\nprose: 'recipe: a text'\n"),
        ("sub/b.yaml", "there: recipe:../lists/x.txt\nhome: ~/data\ndescription: ~/stays\njoined: recipe:${env:F}\n"),
    ]);
    let env = |name: &str| match name {
        "HOME" => Some("/home/me".to_owned()),
        "F" => Some("f".to_owned()),
        _ => None,
    };
    let document = load(&path).unwrap();
    let root = interpolate_with(&document.root, document.folder(), &env).unwrap();
    let folder = path.parent().unwrap();
    let at = |key: &str| root.at(key).unwrap().as_str().unwrap().to_owned();
    assert_eq!(at("here"), folder.join("clips").display().to_string());
    assert_eq!(at("there"), folder.join("sub/../lists/x.txt").display().to_string());
    assert_eq!(at("joined"), folder.join("sub/f").display().to_string());
    assert_eq!((at("home"), at("description")), ("/home/me/data".to_owned(), "~/stays".to_owned()));
    assert_eq!(at("prose"), "recipe: a text");
    let problem = interpolate_with(&node("a: ~/x"), None, &|_| None).unwrap_err();
    assert!(problem.to_string().contains("HOME"), "{problem}");
    assert_eq!(first(interpolate_with(&node("a: recipe:x"), None, &env)).code, codes::INTERPOLATION);
}

#[test]
fn the_value_of_a_reference_is_reported() {
    let node = resolve("a: ${env:WORKERS}\nb: {c: 'x${a}'}\nd: ${env:NONE:-7}\n").unwrap();
    let brought = |path: &str| node.at(path).unwrap().origin.brought_by().join(" ");
    assert_eq!(brought("a"), "`WORKERS` is `4` in the environment");
    assert!(brought("b.c").starts_with("`a` is `4`, written at expected:1:4"), "{}", brought("b.c"));
    assert_eq!(brought("d"), "the default of `NONE` is `7`");
    assert_eq!(node.at("a").unwrap().origin.place().unwrap().column, 4);
}

#[test]
fn sets_are_yaml_and_remember_their_argument() {
    let root = text("", &["a.b=1e-3", "a.c=[1, x]", "d=", "e=a=b", "f='no'"]).unwrap();
    assert_eq!(root, node("{d: ~, e: a=b, f: 'no', a: {b: 0.001, c: [1, x]}}"));
    assert!(
        matches!(&root.at("a.c.1").unwrap().origin, Origin::Argument { argument, .. } if &**argument == "a.c=[1, x]")
    );
    for bad in ["a", "=1", "a..b=1", "a={", "extends=b.yaml", "a={x: 1, x: 2}"] {
        let problem = first(text("", &[bad]));
        assert_eq!(problem.code, codes::ARGUMENT, "{bad}");
        assert!(problem.to_string().contains(bad), "{problem}");
    }
    assert_eq!(text("", &["a", "=1"]).unwrap_err().iter().count(), 2);
}

#[test]
fn a_recipe_is_a_map() {
    assert_eq!(first(text("[1]", &[])).code, codes::WRONG_TYPE);
    assert_eq!(first(text("extends: x.yaml", &[])).code, codes::EXTENDS);
    assert_eq!(text("# nothing\n", &[]).unwrap(), node("{}"));
}

fn resolve(yaml: &str) -> Result<Node, Diagnostics> {
    let env = |name: &str| match name {
        "HOME_DIR" => Some("/data".to_owned()),
        "WORKERS" => Some("4".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    interpolate_with(&node(yaml), None, &env)
}

#[test]
fn references_are_replaced() {
    let resolved = resolve(
        "{root: '${env:HOME_DIR}/x', w: '${env:WORKERS}', d: '${env:NONE:-5}', e: '${env:EMPTY:-full}', m: {n: 3, o: [a]},
         whole: '${m.n}', map: '${m}', text: 'n=${m.n} ${root}', plain: '$${m.n}', item: '${m.o.0}', thru: '${map.o}'}",
    );
    let expected = node(
        "{root: /data/x, w: 4, d: 5, e: full, m: {n: 3, o: [a]}, whole: 3, map: {n: 3, o: [a]}, text: n=3 /data/x,
          plain: '${m.n}', item: a, thru: [a]}",
    );
    assert_eq!(resolved.unwrap(), expected);
}

#[test]
fn bad_references_are_all_reported_at_their_place() {
    let problems =
        resolve("a: ${env:NOPE}\nb:\n  c: x ${m.nn}\nm: {n: 1}\nd: ${\ne: ${}\nf: p ${m}\ng: ${env:1x}\n").unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.origin.as_ref().unwrap().place().unwrap().line).collect();
    assert_eq!(lines, [1, 3, 5, 6, 7, 8]);
    assert!(problems.iter().all(|problem| problem.code == codes::INTERPOLATION));
    let text = problems.to_string();
    assert!(text.contains("did you mean `n`?") && text.contains("${env:NOPE:-value}"), "{text}");
    assert!(text.contains("in the recipe: b.c"), "{text}");
}

#[test]
fn circles_and_explosions_are_refused() {
    assert!(first(resolve("{a: '${b}', b: 'x ${c.d}', c: {d: '${a}'}}")).message.contains("a → b → c.d → a"));
    assert!(first(resolve("a: {b: '${a}'}")).message.contains("circle"));
    let doubling = |first: &str, join: &dyn Fn(usize) -> String| -> String {
        (1..40).fold(format!("a0: {first}\n"), |all, i| all + &format!("a{i}: {}\n", join(i - 1)))
    };
    for yaml in [
        doubling("xxxxxxxxxx", &|i| format!("'${{a{i}}}${{a{i}}}'")),
        doubling("''", &|i| format!("'${{a{i}}}${{a{i}}}'")),
        doubling("[1]", &|i| format!("['${{a{i}}}', '${{a{i}}}']")),
    ] {
        assert_eq!(first(resolve(&yaml)).code, codes::INTERPOLATION);
    }
    let chain: String = (1..1_000).map(|i| format!("a{i}: ${{a{}}}\n", i - 1)).collect();
    assert_eq!(first(resolve(&("a0: 1\n".to_owned() + &chain))).code, codes::INTERPOLATION);
}

#[test]
fn an_own_study_replaces_the_extended_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("base.yaml", "name: base\nstudy: {variants: {a: {}, b: {}}}\n");
    write("own.yaml", "extends: base.yaml\nname: own\nstudy: {seeds: [1]}\n");
    write("plain.yaml", "extends: base.yaml\n");
    let study = |name: &str| load(&folder.path().join(name)).unwrap().root.at("study").unwrap().to_json();
    assert_eq!(study("own.yaml"), serde_json::json!({"seeds": [1]}));
    assert_eq!(study("plain.yaml"), serde_json::json!({"variants": {"a": {}, "b": {}}}));
}

#[test]
fn a_string_on_the_command_line_is_what_was_typed() {
    #[derive(Debug, serde::Deserialize)]
    struct Named {
        name: String,
    }
    let read = |set: &str| {
        let arguments = Arguments { sets: vec![set.to_owned()], ..Arguments::default() };
        let document = load_text("a.yaml", "name: x", &arguments).unwrap();
        from_node::<Named>(&document.root, "").unwrap().name
    };
    for typed in ["1e3", "0x10", "1_000", "1.10", "true", "12345678901234567890123", "a#b"] {
        assert_eq!(read(&format!("name={typed}")), typed);
    }
    assert_eq!(read("name=\"run #3\""), "run #3");
}

#[test]
fn a_comment_on_the_command_line_is_refused() {
    for set in ["name=run #3", "name=#3", "name={a: 1} # b"] {
        let arguments = Arguments { sets: vec![set.to_owned()], ..Arguments::default() };
        let problem = load_text("a.yaml", "name: x", &arguments).unwrap_err().render(false);
        assert!(problem.contains("begins a comment") && problem.contains("quote the value"), "{problem}");
    }
}
