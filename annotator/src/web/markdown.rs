//! Markdown from people and models to HTML that is safe to show.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

/// Renders Markdown. Raw HTML is shown as text, images become their description (a picture from
/// elsewhere would tell that server who is reading), and the result is sanitised once more.
pub fn to_html(markdown: &str) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(markdown, options).filter_map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        Event::SoftBreak => Some(Event::HardBreak), // a line break that was typed is meant
        event => Some(event),
    });
    let mut rendered = String::new();
    html::push_html(&mut rendered, events);
    ammonia::Builder::default().add_generic_attributes(["class"]).clean(&rendered).to_string()
}

#[cfg(test)]
mod tests {
    use super::to_html;

    #[test]
    fn markdown_becomes_html() {
        assert_eq!(
            to_html("**a** `b`\n\n- c").trim(),
            "<p><strong>a</strong> <code>b</code></p>\n<ul>\n<li>c</li>\n</ul>"
        );
    }

    #[test]
    fn html_and_scripts_are_shown_not_run() {
        let html = to_html(
            "<script>alert(1)</script>\n\n[x](javascript:alert(1)) a <img src=x onerror=alert(1)>",
        );
        assert!(!html.contains("<script"), "{html}");
        assert!(!html.contains("javascript:"), "{html}");
        assert!(!html.contains("<img"), "{html}");
        assert!(html.contains("&lt;script&gt;"), "{html}");
    }

    #[test]
    fn an_image_becomes_its_description() {
        assert_eq!(to_html("![a cat](http://x.example/cat.png)").trim(), "<p>a cat</p>");
    }
}
