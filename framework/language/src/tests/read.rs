//! Reading, writing and hashing.

use crate::read::read_file;
use crate::*;
use std::path::Path;

fn read(text: &str) -> Node {
    read_str("r.yaml", text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problem(text: &str) -> Diagnostic {
    read_str("r.yaml", text).expect_err("must not be read").into_vec().remove(0)
}

fn place(origin: &Origin) -> (usize, usize) {
    let place = origin.place().expect("is in a file");
    (place.line, place.column)
}

#[test]
fn numbers_are_what_people_mean() {
    let node =
        read("a: 1e-4\nb: 1e4\nc: 3\nd: \"1e-4\"\ne: -2.5E+3\nf: .nan\ng: 0.1\nh: 007\ni: 1e-4x\nj: -7\nk: .5\n");
    let float = |key: &str| match node.at(key).unwrap().value {
        Value::Float(value) => value,
        ref other => panic!("{key}: {other:?}"),
    };
    assert_eq!(float("a"), 1e-4);
    assert_eq!(float("b"), 1e4);
    assert_eq!(float("e"), -2500.0);
    assert!(float("f").is_nan());
    assert_eq!(float("g"), 0.1);
    assert_eq!(float("k"), 0.5);
    assert_eq!(node.at("c").unwrap().value, Value::Int(3));
    assert_eq!(node.at("j").unwrap().value, Value::Int(-7));
    for (key, text) in [("d", "1e-4"), ("h", "007"), ("i", "1e-4x")] {
        assert_eq!(node.at(key).unwrap().as_str(), Some(text));
    }
}

#[test]
fn only_true_and_false_are_booleans() {
    let node = read("a: no\nb: yes\nc: on\nd: true\n~e: off\n");
    assert_eq!(node.at("a").unwrap().as_str(), Some("no"));
    assert_eq!(node.at("d").unwrap().value, Value::Bool(true));
}

#[test]
fn keys_and_values_know_their_place() {
    let node = read("top:\n  inner: abc\n  list: [1, 22]\n  \"q\": 'quoted'\n");
    let entry = node.at("top").unwrap().as_map().unwrap().entry("inner").unwrap();
    assert_eq!(place(&entry.key_origin), (2, 3));
    assert_eq!(place(&entry.value.origin), (2, 10));
    assert_eq!(entry.value.origin.place().unwrap().text(), Some("abc"));
    let item = node.at("top.list.1").unwrap();
    assert_eq!(place(&item.origin), (3, 13));
    assert_eq!(item.origin.place().unwrap().text(), Some("22"));
    assert_eq!(node.at("top.q").unwrap().origin.place().unwrap().text(), Some("'quoted'"));
}

#[test]
fn anchors_and_merge_keys_show_where_it_was_written() {
    let node = read("base: &b\n  x: 1\n  y: 2\nuse:\n  <<: *b\n  y: 3\nagain: *b\n");
    assert_eq!(node.at("use.y").unwrap().value, Value::Int(3));
    let map = node.at("use").unwrap().as_map().unwrap();
    assert_eq!(map.len(), 2);
    let x = map.entry("x").unwrap();
    assert_eq!(place(&x.key_origin), (2, 3));
    assert_eq!(place(&x.value.origin), (2, 6));
    assert_eq!(x.value.origin.place().unwrap().used_at.map(|at| at.0), Some(5));
    assert_eq!(node.at("again.y").unwrap().value, Value::Int(2));
}

#[test]
fn a_repeated_key_is_an_error_at_the_second() {
    let problem = problem("a:\n  b: 1\n  c: 2\n  b: 3\n");
    assert_eq!(problem.code, codes::SYNTAX);
    assert_eq!(place(problem.origin.as_ref().unwrap()), (4, 3));
    assert!(problem.message.contains('b'), "{problem}");
}

#[test]
fn syntax_errors_have_a_place() {
    let problem = problem("a: [1, 2\nb: 3\n");
    assert_eq!(problem.code, codes::SYNTAX);
    assert!(problem.to_string().contains("r.yaml:"), "{problem}");
    assert!(!problem.message.contains("at line"), "{problem}");
    for text in ["a: 1\na: 2", "a: 1\n---\nb: 2"] {
        let problem = self::problem(text).message;
        assert!(!problem.contains("Policy") && !problem.contains("from_str"), "{problem}");
    }
}

#[test]
fn bombs_and_depth_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..20 {
        let items = vec![format!("*a{}", i - 1); 9].join(", ");
        bomb += &format!("a{i}: &a{i} [{items}]\n");
    }
    assert_eq!(problem(&bomb).code, codes::SYNTAX);
    assert_eq!(problem(&"[".repeat(10_000)).code, codes::SYNTAX);
    assert_eq!(problem(&("[".repeat(10_000) + &"]".repeat(10_000))).code, codes::SYNTAX);
    let block: String = (0..10_000).map(|i| " ".repeat(i) + "a:\n").take(1500).collect();
    assert_eq!(problem(&block).code, codes::SYNTAX);
    // Each alias nests one more level than the text.
    let mut chain = String::from("a0: &a0 [x]\n");
    for i in 1..200 {
        chain += &format!("a{i}: &a{i} [*a{}]\n", i - 1);
    }
    assert_eq!(problem(&chain).code, codes::SYNTAX);
    assert_eq!(problem(&format!("a: {}", "x".repeat(5_000_001))).code, codes::UNREADABLE);
    assert_eq!(read(&("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH))).depth(), MAX_DEPTH);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let bad = directory.path().join("bad.yaml");
    std::fs::write(&bad, b"a: 1\nb: \xff\xfe\n").unwrap();
    let problem = |path: &Path| read_file(path).unwrap_err().into_vec().remove(0);
    let utf8 = problem(&bad);
    assert_eq!(utf8.code, codes::UNREADABLE);
    assert_eq!(place(utf8.origin.as_ref().unwrap()), (2, 4));
    assert!(utf8.message.contains("bad.yaml") && utf8.message.contains("UTF-8"));
    assert!(problem(directory.path()).message.contains("it is a directory"));
    assert!(problem(&directory.path().join("none.yaml")).message.contains("none.yaml"));
}

#[test]
fn yaml_reads_back_to_the_same_tree() {
    let node = read(
        "s: [no, 'null', '1', \"a: b\", '', ' x', \"t\\tn\\n\", '#', '007', é, \"\\x7f\\u2028\", '~', '1e4', 0x1f, ---]\n\
         f: [1.0, 1e-5, 1e20, .inf, -.inf, .nan, -0.0, 10000.0]\nn: ~\nm: {}\nl: []\nb: true\n\
         deep:\n- a: 1\n  b: [[1, [2]], {x: []}]\n- - 1\n  - {y: 2}\n'key: odd': 1\n'': 2\n'<<': text\n",
    );
    let yaml = node.to_yaml();
    assert_eq!(read(&yaml), node, "{yaml}");
    assert_eq!(Node::from_json(&node.to_json()).at("deep"), node.at("deep"));
    for text in ["1", "abc", "[]", "{}", "[1, [2]]"] {
        assert_eq!(read(&read(text).to_yaml()), read(text));
    }
}

#[test]
fn long_keys_read_back() {
    for length in [998, 999, 1020, 1030, 5000] {
        let key = "\u{1f600}é".repeat(length / 2);
        for value in ["1", "{a: 1}", "[1, {b: 2}]", "[{b: 2}]", "[]", "''"] {
            let node = read(&format!("? '{key}'\n: {value}\nlist: [{{? '{key}\t' : {value}, c: 3}}]"));
            assert_eq!(read(&node.to_yaml()), node, "{value}");
        }
    }
}

#[test]
fn identity_is_about_meaning() {
    let one = read("a: 1e4\nb: {c: x, d: 2}\ndevice: flex\n");
    let two = read("device: tch\nb: {d: 2.0, c: \"x\"}\na: 10000\n");
    assert_eq!(identity(&one, &["device"]), identity(&two, &["device"]));
    assert_ne!(identity(&one, &[]), identity(&two, &[]));
    assert_ne!(identity(&one, &["device", "b.d"]), identity(&one, &["device"]));
    assert_ne!(identity(&read("a: 1"), &[]), identity(&read("a: '1'"), &[]));
    assert_eq!(identity(&one, &[]).len(), 64);
}
