//! Typed configurations, and what the messages say.

use crate::*;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Config {
    name: String,
    #[serde(default)]
    inner: Option<Inner>,
    #[serde(default)]
    list: Vec<(u8, f32)>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    by_name: BTreeMap<String, f64>,
    #[serde(default)]
    flag: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inner {
    steps: u32,
    #[serde(default)]
    rate: f32,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    All,
    Last(usize),
    Between {
        from: i8,
        to: i8,
    },
}

fn read(text: &str) -> Result<Config, Diagnostic> {
    from_node(&read_str("r.yaml", text).unwrap(), "train")
}

/// Code, line, column, path and the whole message.
fn wrong(text: &str) -> (&'static str, usize, usize, String, String) {
    let problem = read(text).unwrap_err();
    let place = problem.origin.clone().unwrap().place().unwrap().clone();
    (problem.code, place.line, place.column, problem.path.clone(), problem.to_string())
}

fn check(text: &str, code: &str, line: usize, column: usize, path: &str, parts: &[&str]) {
    let (c, l, k, p, message) = wrong(text);
    assert_eq!((c, l, k, p.as_str()), (code, line, column, path), "{message}");
    assert!(message.contains(&format!("r.yaml:{line}:{column}")), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
}

#[test]
fn all_shapes_are_read() {
    let config = read(
        "name: no\ninner: {steps: 1e4, rate: 1}\nlist: [[1, 0.5]]\nmode: {between: {from: -1, to: 2}}\nby_name: {a: 1, b: .inf}\nflag: true\n",
    );
    let expected = Config {
        name: "no".into(),
        inner: Some(Inner { steps: 10_000, rate: 1.0 }),
        list: vec![(1, 0.5)],
        mode: Mode::Between { from: -1, to: 2 },
        by_name: [("a".into(), 1.0), ("b".into(), f64::INFINITY)].into(),
        flag: true,
    };
    assert_eq!(config, Ok(expected));
    assert_eq!(read("name: x\ninner:\nmode: all").unwrap().mode, Mode::All);
    assert_eq!(read("name: x\nmode: {last: 4}").unwrap().mode, Mode::Last(4));
    let numbers: BTreeMap<u8, Mode> = from_node(&read_str("", "{1: all, 2: {last: 1}}").unwrap(), "").unwrap();
    assert_eq!(numbers[&2], Mode::Last(1));
}

#[test]
fn unknown_keys_are_shown_at_the_key() {
    let help = ["help: did you mean `steps`?", "allowed here: steps, rate", "in the recipe: train.inner.stepz"];
    check("name: x\ninner:\n  rate: 1\n  stepz: 5\n", codes::UNKNOWN_KEY, 4, 3, "train.inner.stepz", &help);
    check("name: x\nmode: {lst: 5}\n", codes::UNKNOWN_NAME, 2, 8, "train.mode.lst", &["`last`"]);
    check("name: x\nmode: lst\n", codes::UNKNOWN_NAME, 2, 7, "train.mode", &["`last`", "all, last, between"]);
}

#[test]
fn anchors_and_merge_keys_lead_to_the_text() {
    let text = "name: x\nby_name: &b\n  stepz: 1\ninner:\n  <<: *b\n";
    check(text, codes::UNKNOWN_KEY, 3, 3, "train.inner.stepz", &["merge key at r.yaml:5:"]);
}

#[test]
fn wrong_types_are_shown_at_the_value() {
    let t = codes::WRONG_TYPE;
    check("name: x\ninner: {steps: 2.5}", t, 2, 16, "train.inner.steps", &["expected an integer from 0 to", "2.5"]);
    check("name: x\ninner: {steps: abc}", t, 2, 16, "train.inner.steps", &["the string `abc`"]);
    check("name: x\ninner: {steps: '5'}", t, 2, 16, "train.inner.steps", &["without quotes: 5"]);
    check("name: 1e4", t, 1, 7, "train.name", &["if it is meant as text, quote it: \"1e4\""]);
    check("name: true", t, 1, 7, "train.name", &["quote it: \"true\""]);
    check("name: x\nflag: yes", t, 2, 7, "train.flag", &["expected true or false"]);
    check("name: x\nlist: 3", t, 2, 7, "train.list", &["expected a list"]);
    check("name: x\nlist: [[1, 2, 3]]", t, 2, 8, "train.list[0]", &["a list of 2 elements, found a list of 3"]);
    check("name: x\nlist: [[1]]", t, 2, 8, "train.list[0]", &["found 1 elements"]);
    check("name: x\ninner: 3", t, 2, 8, "train.inner", &["expected a map"]);
    check("name: x\nby_name:", t, 2, 8, "train.by_name", &["write {}"]);
    check("name: x\nmode: 3", t, 2, 7, "train.mode", &["one of all, last, between"]);
    check("name:\n", t, 1, 5, "train.name", &["nothing (null)"]);
    check("name: x\ninner: {steps: .nan}", t, 2, 16, "train.inner.steps", &[]);
}

#[test]
fn ranges_and_missing_keys() {
    check("name: x\ninner: {steps: -1}", codes::OUT_OF_RANGE, 2, 16, "train.inner.steps", &["4294967295"]);
    check("name: x\nlist: [[300, 1]]", codes::OUT_OF_RANGE, 2, 9, "train.list[0][0]", &["from 0 to 255"]);
    check("name: x\nlist: [[1, 1e300]]", codes::OUT_OF_RANGE, 2, 12, "train.list[0][1]", &[]);
    check("name: x\ninner:\n  rate: 1\n", codes::MISSING_KEY, 3, 3, "train.inner.steps", &["missing key `steps`"]);
}

#[test]
fn set_arguments_are_quoted() {
    let set = |argument: &str| {
        let arguments = Arguments { sets: vec![argument.to_owned()], ..Arguments::default() };
        load_text("r.yaml", "name: x", &arguments).unwrap()
    };
    let document = set("inner.steps=abc");
    let problem = from_node::<Config>(&document.root, "").unwrap_err();
    let text = problem.to_string();
    assert!(text.contains("--set inner.steps=abc") && text.contains("               ^^^ expected"), "{text}");
    assert_eq!(problem.to_json()["argument"], "--set inner.steps=abc");
    let document = set("inner.stepz=1");
    let text = from_node::<Config>(&document.root, "").unwrap_err().to_string();
    assert!(text.contains("did you mean `steps`?") && text.contains("--set inner.stepz=1"), "{text}");
}

#[test]
fn custom_errors_have_the_innermost_place() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "u32")]
    struct Even;
    impl TryFrom<u32> for Even {
        type Error = String;
        fn try_from(value: u32) -> Result<Self, String> {
            if value.is_multiple_of(2) { Ok(Even) } else { Err(format!("{value} is odd")) }
        }
    }
    let node = read_str("r.yaml", "a:\n  - 2\n  - 3\n").unwrap();
    let problem = from_node::<BTreeMap<String, Vec<Even>>>(&node, "").unwrap_err();
    assert_eq!((problem.message.as_str(), problem.path.as_str()), ("3 is odd", "a[1]"));
    assert_eq!(problem.origin.unwrap().place().unwrap().line, 3);
}

#[test]
fn untagged_and_any_work() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(untagged)]
    enum Either {
        Count(u32),
        Names(Vec<String>),
    }
    let either = |text: &str| from_node::<Either>(&read_str("r.yaml", text).unwrap(), "x");
    assert_eq!(either("3"), Ok(Either::Count(3)));
    assert_eq!(either("[a]"), Ok(Either::Names(vec!["a".into()])));
    assert!(either("{a: 1}").unwrap_err().origin.is_some());
    let json: serde_json::Value = from_node(&read_str("", "{a: [1, -2, 0.5, ~, x]}").unwrap(), "").unwrap();
    assert_eq!(json, serde_json::json!({"a": [1, -2, 0.5, null, "x"]}));
}

#[test]
fn messages_are_safe_complete_and_in_order() {
    let origin = Origin::argument("--set", "a=\u{1b}[31m");
    let hostile = Diagnostic::new(codes::WRONG_TYPE, "x\u{1b}[31m").at(&origin).label("\u{7}").help("\u{1b}");
    assert!(!hostile.to_string().contains(['\u{1b}', '\u{7}']));
    let node = read_str("r.yaml", "a: é1\nb:\t\"日本\" # x\n").unwrap();
    let about = |key: &str| Diagnostic::new(codes::WRONG_TYPE, key).at(&node.at(key).unwrap().origin);
    let all = Diagnostics::from_list(vec![hostile, about("b"), about("a"), about("a")]).unwrap();
    let codes: Vec<_> = all.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(codes, ["a", "b", "x\u{1b}[31m"]);
    let text = all.to_string();
    assert!(text.contains("r.yaml:1:4") && text.contains("r.yaml:2:4") && text.contains("error[MC006]"), "{text}");
    assert_eq!(all.to_json()[1]["line"], 2);
    assert!(Diagnostics::from_list(vec![]).is_none());
}

#[test]
fn one_look_finds_all_mistakes() {
    let text = "name: 5\ninner: {steps: x, stepz: 1, rate: low}\nlist: [[300, 1]]\nmode: {last: x}\nfoo: 1\n";
    let Repaired { value, problems, tree } = from_node_repaired::<Config>(&read_str("r.yaml", text).unwrap(), "t");
    let paths: std::collections::BTreeSet<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    let expected = ["t.name", "t.inner.steps", "t.inner.stepz", "t.inner.rate", "t.list[0][0]", "t.mode.last", "t.foo"];
    assert_eq!(paths, expected.into_iter().collect(), "{problems:?}");
    // `name` is required, and was removed because it was wrong: this is not a second mistake.
    assert!(value.is_none() && tree.at("foo").is_none());
    // Items keep the index with which they were written.
    let text = "- {steps: 1}\n- {steps: x, rate: y}\n- text\n- {steps: 2, foo: 1}\n";
    let Repaired { value, problems, .. } = from_node_repaired::<Vec<Inner>>(&read_str("r.yaml", text).unwrap(), "l");
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!((paths, value.unwrap().len()), (vec!["l[1].steps", "l[1].rate", "l[2]", "l[3].foo"], 2));
    let Repaired { value, problems, .. } = from_node_repaired::<Config>(&read_str("r.yaml", "name: x\n").unwrap(), "");
    assert!(value.is_some() && problems.is_empty());
}

#[test]
fn mistakes_below_keys_with_dots_do_not_hide_others() {
    type Groups = BTreeMap<String, Inner>;
    let text = "{a.b: {steps: 1, foo: 2}, c: {steps: x}, d: {steps: 1, bar: 3}}";
    let Repaired { problems, .. } = from_node_repaired::<Groups>(&read_str("r.yaml", text).unwrap(), "g");
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["g.a.b.foo", "g.c.steps", "g.d.bar"]);
}

#[test]
fn words_and_units_in_place_of_values_are_helped() {
    let wrong = |text: &str| {
        from_node::<BTreeMap<String, f64>>(&read_str("r.yaml", text).unwrap(), "").unwrap_err().to_string()
    };
    assert!(wrong("rate: 1e-4/step").contains("write the number alone, 1e-4"));
    assert!(wrong("rate: 10s").contains("write the number alone, 10"));
    assert!(wrong("rate: '5'").contains("without quotes: 5"));
    assert!(!wrong("rate: fast").contains("help"));
    let truth = |text: &str| {
        from_node::<BTreeMap<String, bool>>(&read_str("r.yaml", text).unwrap(), "").unwrap_err().to_string()
    };
    assert!(truth("on: no").contains("write `false`") && truth("on: yes").contains("write `true`"));
}

#[test]
fn near_names() {
    assert_eq!(suggest("mean_cosin", ["otam", "mean_cosine"]), Some("mean_cosine"));
    assert_eq!(suggest("Mean-Cosine", ["otam", "mean_cosine"]), Some("mean_cosine"));
    assert_eq!(suggest("zzz", ["otam", "mean_cosine"]), None);
    assert_eq!(suggest("", ["a"]), None);
}
