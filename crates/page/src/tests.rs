//! Linked pages: forms that the linker knows, and the line of each that it refuses.

use super::*;

const INDEX: &str = "<!doctype html>\n<html>\n<head>\n  <!-- Of the page. -->\n  \
                     <link rel=\"stylesheet\" href=\"a.css\">\n  <link rel=\"stylesheet\" href=\"styles/b.css\">\n  \
                     <script type=\"module\" src=\"app.js\"></script>\n</head>\n<body>\n  <p>Hi</p>\n</body>\n</html>\n";

fn files(modules: &[(&str, &str)]) -> Files {
    let mut files: Files = [("index.html", INDEX), ("a.css", "a {}\n"), ("styles/b.css", "/* b */\nb {}\n")]
        .into_iter()
        .chain(modules.iter().copied())
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .collect();
    files.entry("app.js".to_owned()).or_default();
    files
}

fn script(modules: &[(&str, &str)]) -> String {
    link("index.html", &files(modules)).expect("it links").script
}

fn refused(modules: &[(&str, &str)]) -> (String, usize, String) {
    let error = link("index.html", &files(modules)).expect_err("the linker knows no such form");
    (error.path, error.line, error.message)
}

/// Line of the form that is refused in `app.js`.
fn refused_line(source: &str) -> usize {
    let (path, line, _) = refused(&[("app.js", source), ("b.js", "export const b = 1;\n")]);
    assert_eq!(path, "app.js", "{source}");
    line
}

#[test]
fn the_document_holds_style_and_script() {
    let document = link("index.html", &files(&[("app.js", "run();\n")])).unwrap();
    let style = "<style>a{}\nb{}\n</style>\n";
    let script =
        "<script type=\"module\">const module_0 = (() => {\nrun();\nreturn {  };\n})();\n</script>\n";
    let head = format!("<!doctype html>\n<html>\n<head>\n{style}</head>\n");
    assert_eq!(document.html, format!("{head}<body>\n<p>Hi</p>\n{script}</body>\n</html>\n"));
    assert_eq!(document.linked.into_iter().collect::<Vec<_>>(), ["a.css", "app.js", "styles/b.css"]);
}

#[test]
fn modules_are_evaluated_in_the_order_of_their_imports() {
    let text = script(&[
        (
            "app.js",
            "import { two } from \"./two.js\";\nimport { one as first } from \"./one.js\";\nfirst(two);\n",
        ),
        ("one.js", "export function one() {}\n"),
        ("two.js", "import { one } from \"./one.js\";\nexport const two = one();\n"),
    ]);
    assert_eq!(
        text,
        "const module_0 = (() => {\nfunction one(){}\nreturn { one };\n})();\n\
         const module_1 = (() => {\nconst { one } = module_0;\nconst two=one();\nreturn { two };\n})();\n\
         const module_2 = (() => {\nconst { two } = module_1;\nconst { one: first } = module_0;\nfirst(two);\n\
         return {  };\n})();\n"
    );
}

#[test]
fn every_form_of_export_arrives() {
    let source = "export const a = 1;\nexport let b;\nexport class C {}\nexport async function d() {}\n\
                  export function* e() {}\nexport async function* f() {}\nexport { g, h as i } from \"./g.js\";\n";
    let text = script(&[
        ("app.js", "import { a, b, C, d, e, f, g, i } from \"./x.js\";\n"),
        ("x.js", source),
        ("g.js", "export const g = 1;\nexport const h = 2;\n"),
    ]);
    assert!(text.contains("return { C, a, b, d, e, f, g: module_0.g, i: module_0.h };"), "{text}");
    assert!(text.contains("const { a, b, C, d, e, f, g, i } = module_1;"), "{text}");
}

#[test]
fn all_exports_may_be_imported_under_one_name() {
    let text =
        script(&[("app.js", "import * as b from \"./b.js\";\nb.b();\n"), ("b.js", "export const b = 1;\n")]);
    assert!(text.contains("const module_1 = (() => {\nconst b = module_0;\nb.b();"), "{text}");
}

#[test]
fn a_variable_may_get_its_value_while_the_module_is_evaluated() {
    let source =
        "export let attach;\nexport class Peer {\n  static {\n    attach = (peer) => peer.x;\n  }\n}\n";
    script(&[("app.js", source)]);
    script(&[("app.js", "export let a = 1;\na = 2;\n")]);
    assert_eq!(refused_line("export let a;\nexport function set() {\n  a = 1;\n}\n"), 3);
    assert_eq!(refused_line("export let a = 0;\nconst set = (x) => a = x;\n"), 2);
    assert_eq!(refused_line("export let a = 0;\nexport class C {\n  method() { a++; }\n}\n"), 3);
    assert_eq!(refused_line("export let a = 0;\nconst o = { class: 1, set() {\n ++a; } };\n"), 3);
}

#[test]
fn addresses_of_modules_stay() {
    let text = script(&[
        ("app.js", "import { url } from \"./byway/call.js\";\nimport { open } from \"./page/panels.js\";\n"),
        ("byway/call.js", "export const url = import.meta.url;\n"),
        ("page/panels.js", "export const open = () => import(\"./panels/info.js\");\n"),
        ("page/panels/info.js", "import plot from \"../../vendor/plot.js\";\nexport const a = plot;\n"),
        ("vendor/plot.js", "anything at all"),
    ]);
    assert!(text.contains("const url=new URL(\"byway/call.js\", document.baseURI).href;"), "{text}");
    assert!(text.contains("import(\"./page/panels/info.js\")"), "{text}");
}

#[test]
fn comments_and_spaces_go_but_statements_keep_their_lines() {
    // The comment names a type, and imports nothing.
    let typed = "/** @type {import(\"./b.js\").B} */";
    let source = [typed, "const a = b (c); // 1", "", "  a /* x", " */ ++", "let d"].join("\n");
    assert!(script(&[("app.js", &source)]).contains("{\nconst a=b(c);\na\n++\nlet d\nreturn"));
}

#[test]
fn line_ends_go_where_no_statement_can_end() {
    for (source, linked) in [
        ("a = {\n  b,\n  c: [\n    1,\n  ],\n};", "a={b,c:[1,],};"),
        ("f(\n  a,\n  b\n)\ng()", "f(a,b)\ng()"),
        ("if (a) {\n  b\n  c\n}\nd", "if(a){b\nc}\nd"),
        ("a = b\n{ c }", "a=b\n{c}"),
        ("a = `${\n b\n}`", "a=`${\nb\n}`"),
        ("a\n  .b()", "a\n.b()"),
    ] {
        let text = script(&[("app.js", &format!("{source}\n"))]);
        assert!(text.contains(&format!("\n{linked}\n")), "{source}: {text}");
    }
}

#[test]
fn spaces_stay_where_tokens_would_join() {
    for (source, linked) in [
        ("a + +b", "a+ +b"),
        ("a - --b", "a- --b"),
        ("b = 1 .a", "b=1 .a"),
        ("a ? .5 : b", "a? .5:b"),
        ("typeof  a", "typeof a"),
        ("a in /b/g", "a in /b/g"),
        ("a = (b) => { c }", "a=(b)=>{c}"),
        ("return_ `a`", "return_ `a`"),
    ] {
        let text = script(&[("app.js", &format!("{source}\n"))]);
        assert!(text.contains(&format!("\n{linked}\n")), "{source}: {text}");
    }
}

#[test]
fn literals_stay_as_they_are() {
    for literal in [
        "\"// no comment\"",
        "'/* none */'",
        "`a\n   // ${ \"}\" } ${`${1}`} */`",
        "/[/\"]\\/'/g",
        "a/b/c",
        "(a)/2/1",
        "`${x}`/2",
        "a++/2",
        "[1]/2",
    ] {
        let text = script(&[("app.js", &format!("x = ({literal});\n"))]);
        assert!(text.contains(&format!("x=({literal});")), "{literal}: {text}");
    }
    assert!(script(&[("app.js", "if (a) /\"/.test(b);\nreturn_(typeof /'/);\n")]).contains("/'/"));
}

#[test]
fn nothing_ends_the_script_early() {
    let text = script(&[("app.js", "a = \"</script><SCRIPT>\" + `<!-- ${1}`;\n")]);
    assert!(text.contains("a=\"\\x3C/script>\\x3CSCRIPT>\"+`\\x3C!-- ${1}`;"), "{text}");
    assert_eq!(refused_line("\na = tag`</script>`;\n"), 2);
    assert_eq!(refused_line("\na = `${1}</script>`;\n"), 2);
    assert_eq!(refused_line("\na = \"\\</script>\";\n"), 2);
    // As code, without quotes.
    refused(&[("app.js", "if (a<!--b) c();\n")]);
}

#[test]
fn unknown_forms_are_refused_with_their_line() {
    for source in [
        "\nimport b from \"./b.js\";\n",
        "\nimport * as b, { c } from \"./b.js\";\n",
        "\nimport * from \"./b.js\";\n",
        "\nimport { default as b } from \"./b.js\";\n",
        "\nimport { b } from \"b\";\n",
        "\nimport { b } from \"./none.js\";\n",
        "\nimport { none } from \"./b.js\";\n",
        "\nimport { b } from \"./b.js\" with { type: \"json\" };\n",
        "\nimport { b } from \"./vendor/b.js\";\n",
        "\nexport default 1;\n",
        "\nexport * from \"./b.js\";\n",
        "\nexport { none } from \"./b.js\";\n",
        "\nexport { b };\n",
        "\nexport var b = 1;\n",
        "\nexport const b = 1, c = 2;\n",
        "\nexport const { b } = c;\n",
        "\nawait b();\n",
        "\nimport(name);\n",
        "\nimport(`./b.js`);\n",
        "\nimport(\"./none.js\");\n",
        "\nconst b = import.meta.env;\n",
        "\nconst b = \"open;\n",
        "\nfor (const b of {} / 2) c();\n",
        "\n@decorated class B {}\n",
        "\nb(1];\n",
    ] {
        assert_eq!(refused_line(source), 2, "{source}");
    }
    for (source, line) in [("f(\n\n", 3), ("`a\n\n", 1), ("/* a\n", 1)] {
        assert_eq!(refused_line(source), line, "{source}");
    }
    assert_eq!(refused_line("const module_0 = 1;\n"), 1);
}

#[test]
fn properties_may_have_any_name() {
    script(&[(
        "app.js",
        "a.import = { export: 1, import: 2, class: { static: 3 } };\nb = c ? d.export : e.class;\n",
    )]);
}

#[test]
fn cycles_are_refused() {
    let cycle = [
        ("app.js", "import { a } from \"./a.js\";\n"),
        ("a.js", "import { b } from \"./b.js\";\nexport const a = 1;\n"),
        ("b.js", "\nimport { a } from \"./a.js\";\nexport const b = 1;\n"),
    ];
    let (path, line, message) = refused(&cycle);
    assert_eq!((path.as_str(), line), ("b.js", 2), "{message}");
}

#[test]
fn no_module_is_loaded_twice() {
    let linked = ("b.js", "export const b = 1;\n");
    let static_of_lazy = [
        ("app.js", "import { b } from \"./b.js\";\nimport(\"./lazy.js\");\n"),
        ("lazy.js", "\n\nimport { b } from \"./b.js\";\n"),
        linked,
    ];
    let (path, line, message) = refused(&static_of_lazy);
    assert_eq!((path.as_str(), line), ("lazy.js", 3), "{message}");
    let lazy_of_linked = [("app.js", "import { b } from \"./b.js\";\nimport(\"./b.js\");\n"), linked];
    assert_eq!(refused(&lazy_of_linked).1, 2);
    let behind = [
        ("app.js", "import { b } from \"./b.js\";\nimport(\"./lazy.js\");\n"),
        ("lazy.js", "import { c } from \"./c.js\";\n"),
        ("c.js", "export const c = () => import(\"./b.js\");\n"),
        linked,
    ];
    assert_eq!(refused(&behind).0, "c.js");
    let apart =
        [("app.js", "import(\"./lazy.js\");\n"), ("lazy.js", "import { b } from \"./b.js\";\n"), linked];
    let lazy = link("index.html", &files(&apart)).unwrap().lazy;
    assert_eq!(lazy.into_iter().collect::<Vec<_>>(), ["b.js", "lazy.js"]);
}

#[test]
fn a_document_of_another_form_is_refused() {
    for (from, to, line) in [
        ("href=\"a.css\"", "href=\"none.css\"", 5),
        ("href=\"a.css\"", "href=\"https://example.com/a.css\"", 5),
        ("href=\"a.css\"", "media=\"print\" href=\"a.css\"", 5),
        ("src=\"app.js\"", "src=\"none.js\"", 7),
        ("type=\"module\" ", "", 7),
        ("<p>Hi</p>", "<pre>\n Hi</pre>", 10),
        ("-->", "--", 4),
        ("</body>", "", 1),
    ] {
        let mut page = files(&[]);
        page.insert("index.html".to_owned(), INDEX.replace(from, to));
        let error = link("index.html", &page).unwrap_err();
        assert_eq!((error.path.as_str(), error.line), ("index.html", line), "{to}: {error}");
    }
}

#[test]
fn modules_that_are_loaded_later_may_have_any_form() {
    let lazy = "import plot, { type } from \"./vendor/plot.js\";\nimport * as c from \"./c.js\";\nimport \"./d.js\";\n\
                export * from \"./e.js\";\nexport default await import(\"./f.js\");\nconst from = [import.meta.url];\n";
    let modules = ["c.js", "d.js", "e.js", "f.js", "vendor/plot.js"].map(|path| (path, ""));
    let page = [&[("app.js", "import(\"./lazy.js\");\n"), ("lazy.js", lazy)], &modules[..]].concat();
    let found = link("index.html", &files(&page)).unwrap().lazy;
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        ["c.js", "d.js", "e.js", "f.js", "lazy.js", "vendor/plot.js"]
    );
    let dynamic = [("app.js", "import(\"./lazy.js\");\n"), ("lazy.js", "\nimport(name);\n")];
    assert_eq!(refused(&dynamic).1, 2);
}
