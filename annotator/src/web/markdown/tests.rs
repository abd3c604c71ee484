//! Texts that people and models write, and texts that are written to break the page.

use super::*;
use proptest::prelude::*;

fn html(markdown: &str) -> String {
    to_html(markdown).unwrap().trim().to_owned()
}

#[test]
fn markdown_becomes_html() {
    assert_eq!(
        html("**a** `b`\n\n- c"),
        "<p dir=\"auto\"><strong>a</strong> <code>b</code></p>\n<ul>\n\n<li dir=\"auto\">c</li>\n</ul>"
    );
}

#[test]
fn html_and_scripts_are_shown_not_run() {
    let html = html(
        "<script>alert(1)</script>\n\n[x](javascript:alert(1)) a <img src=x onerror=alert(1)>",
    );
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains("href"), "{html}");
    assert!(!html.contains("<img"), "{html}");
    assert!(html.contains("&lt;script&gt;"), "{html}");
}

#[test]
fn a_link_leads_to_another_site_or_is_shown_as_it_was_written() {
    for written in [
        "[x](/admin/people)",
        "[x](admin)",
        "[x](#main)",
        "[x](?next=1)",
        "[x](//host.example/a)",
        "[x](http:admin)",
        "[x](http:///admin)",
        "[x](javascript:alert(1))",
        "[x](data:text/html,a)",
        "[x](ftp://host.example/a)",
    ] {
        let html = html(written);
        assert!(!html.contains("href"), "{written}: {html}");
        assert_eq!(seen(written), written);
    }
    for (written, leads_to) in [
        ("[x](https://host.example/a)", "https://host.example/a"),
        ("[x](HTTP://host.example)", "HTTP://host.example"),
        ("<https://host.example>", "https://host.example"),
        ("[x](mailto:a@host.example)", "mailto:a@host.example"),
        ("<a@host.example>", "mailto:a@host.example"),
    ] {
        let html = html(written);
        assert!(html.contains(&format!("href=\"{leads_to}\"")), "{written}: {html}");
    }
}

#[test]
fn an_image_is_shown_as_it_was_written() {
    let image = "![a cat](http://x.example/cat.png)";
    assert_eq!(html(image), format!("<p dir=\"auto\">{image}</p>"));
}

#[test]
fn dollars_of_a_shell_and_of_php_are_no_formulas() {
    for code in ["${A}/${B}", "echo $(pwd)$(ls)", "$x=$_POST['a'];", "$HOME/$USER", "$a[$b]"] {
        assert_eq!(html(code), format!("<p dir=\"auto\">{code}</p>"));
    }
    assert!(html("so $x+y$, and ($z$)").matches("<math").count() == 2);
}

/// What a reader sees, with blanks that a browser keeps as blanks.
fn seen(markdown: &str) -> String {
    let html = html(markdown);
    let mut text = String::new();
    let mut is_tag = false;
    for letter in html.chars() {
        match letter {
            '<' => is_tag = true,
            '>' => is_tag = false,
            letter if !is_tag => text.push(letter),
            _ => {}
        }
    }
    let text = text.replace("&nbsp;", " ").replace('\u{a0}', " ");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[test]
fn what_was_written_is_seen() {
    for text in [
        r"the set \{1, 2\} and \( unclosed",
        "x = a*b*c, 2**3**4",
        r"C:\new\(old) \\server\share",
        "H~2~O and ~5",
        "a    b\tc",
        "if a < b && c > d: \"yes\"",
        "[1]: http://a.example says so",
        "costs $5 and $10, or 20$ a day",
        "make all \\\n    install",
        "<div>\n  <b>\n</div>",
        "\u{F0000}7\u{F0001}",
    ] {
        assert_eq!(seen(text), text.replace('\t', "    "), "{}", html(text));
    }
}

#[test]
fn code_outside_of_a_fence_keeps_its_indentation() {
    let code = "def f(x):\n    if x:\n        return 1\n  end";
    assert_eq!(seen(code), code);
    assert_eq!(seen("   three\nnone"), "   three\nnone");
    assert_eq!(
        seen("a\n\n    four\n      six"),
        "a\n\n    four\n      six".replace("a\n\n", "a\n")
    );
    // The indentation that a list or a quote asks for is no text.
    assert_eq!(seen("- a\n  b\n    c").trim(), "a\nb\n  c");
    assert_eq!(seen("> a\n>   b").trim(), "a\n  b");
    assert_eq!(seen("10. a\n    b\n\n    c").trim(), "a\nb\n\nc");
}

#[test]
fn numbers_of_a_list_and_boxes_of_tasks_stay() {
    let html = html("3. a\n7. b\n\n- [x] done\n- [ ] open");
    assert!(html.contains("value=\"3\">a") && html.contains("value=\"7\">b"), "{html}");
    assert!(html.contains("☑ done") && html.contains("☐ open"), "{html}");
}

#[test]
fn formulas_are_typeset() {
    for (written, display) in [
        ("so $x^2$ is", "<math>"),
        (r"so \(x^2\) is", "<math>"),
        ("$$x^2$$", "<math display=\"block\">"),
        ("\\[\nx^2\n\\]", "<math display=\"block\">"),
        (r"| $|x^2|$ |", "<math>"),
    ] {
        let html = html(written);
        assert!(
            html.contains(display) && html.contains("<msup><mi>x</mi><mn>2</mn></msup>"),
            "{html}"
        );
        assert!(!html.contains('$') && !html.contains(r"\("), "{html}");
    }
    let aligned = html("\\begin{align}\na_1 &= b \\\\\nc &= d\n\\end{align}");
    assert!(aligned.contains("<mtd class=\"right\">"), "{aligned}");
    assert!(html(r"$\boxed{42}$").contains("<mn>42</mn>"));
}

#[test]
fn a_formula_that_is_not_understood_is_shown_as_it_was_written() {
    for text in
        [r"$\nonsense{x}$", r"\(\frac{1}\)", "$a_b_c$", r"\[ \href{javascript:alert(1)}{x} \]"]
    {
        assert_eq!(seen(text), text);
    }
}

#[test]
fn code_is_no_formula() {
    let html = html("`$a$ \\(b\\) a*b*c`\n\n```\n$a$ \\{ a*b*c\n```");
    assert!(html.contains("<code>$a$ \\(b\\) a*b*c</code>"), "{html}");
    assert!(html.contains("<code>$a$ \\{ a*b*c\n</code>"), "{html}");
}

#[test]
fn texts_that_nest_too_deeply_or_are_too_long_are_not_laid_out() {
    for text in [
        ">".repeat(40_000),
        format!("{}a", "- ".repeat(40_000)),
        format!("{}a", "1. > ".repeat(8000)),
        "*a _b ".repeat(4000) + &"c_ d* ".repeat(4000),
        "x".repeat(MAX_BYTES + 1),
        "$''''''''''''''''''''''''''''''''$ ".repeat(3000),
    ] {
        assert!(to_html(&text).is_none(), "{}", &text[..20]);
    }
    assert!(to_html(&format!("{}deep", "> ".repeat(20))).is_some());
}

/// What hostile texts are made of, repeated.
fn hostile() -> impl Strategy<Value = String> {
    const PARTS: [&str; 46] = [
        ">",
        "- ",
        "1. ",
        "  ",
        "    ",
        "\t",
        "\n",
        "\n\n",
        "*",
        "**",
        "_",
        "~",
        "~~",
        "`",
        "```",
        "[",
        "](",
        "]",
        "![",
        ")",
        "<",
        ">",
        "<script>",
        "<img src=x onerror=x>",
        "</math>",
        "</p>",
        "javascript:x",
        "[a](javascript:x)",
        "[a](http://x.example)",
        "[a]: http://x",
        "|",
        "|-|-|\n",
        "$",
        "$$",
        r"\(",
        r"\)",
        r"\[",
        r"\]",
        r"\frac{",
        "}",
        r"\text{<b>",
        "&",
        "&#106;",
        "\\",
        "\u{F0000}",
        "0\u{F0001}",
    ];
    let part = prop_oneof![
        (0..PARTS.len(), 1..300_usize).prop_map(|(at, n)| PARTS[at].repeat(n)),
        (0..PARTS.len()).prop_map(|at| PARTS[at].to_owned()),
        "[a-zа-яא-ת ]{0,6}",
    ];
    (prop::collection::vec(part, 1..24), 1..40_usize)
        .prop_map(|(parts, n)| parts.concat().repeat(n))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_hostile_text_is_laid_out_within_the_bounds_and_does_nothing(text in hostile()) {
        let (html, work) = lay_out(&text);
        prop_assert!(work.events <= MAX_EVENTS + 1 && work.bytes <= MAX_HTML);
        prop_assert!(work.depth <= MAX_DEPTH + 1);
        let Some(html) = html else { return Ok(()) };
        let tags = html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
        for tag in tags {
            let name = tag.trim_start_matches('/').split([' ', '>']).next().unwrap_or_default();
            prop_assert!(!["script", "img", "iframe", "style", "svg", "object", "link"].contains(&name), "{}", tag);
            for (attribute, value) in tag.split(' ').filter_map(|word| word.split_once('=')) {
                prop_assert!(!attribute.starts_with("on") && attribute != "src" && attribute != "style", "{}", tag);
                let leads_away = ["\"http://", "\"https://", "\"mailto:"].iter().any(|start| value.to_lowercase().starts_with(start));
                prop_assert!(attribute != "href" || leads_away, "{}", tag);
            }
        }
        let leaks = html.contains('\u{F0000}') && !text.contains('\u{F0000}');
        prop_assert!(!leaks, "a placeholder is shown");
    }
}
