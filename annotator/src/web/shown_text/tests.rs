//! Texts are shown whatever becomes of laying them out.

use super::*;

fn written(text: &ShownText) -> String {
    let html = text.html(Language::English);
    html.split("dir=\"auto\">").last().unwrap().to_owned()
}

#[test]
fn what_was_written_is_there_byte_for_byte() {
    let text = ShownText::plain("\n  a\r\nb <i> &amp;\n");
    assert_eq!(written(&text), "\n\n  a&#13;\nb &lt;i&gt; &amp;amp;\n</pre>");
}

#[tokio::test]
async fn a_text_that_is_not_laid_out_in_time_is_shown_as_it_was_written() {
    let layouts = Layouts::new(
        |text| {
            // Far beyond the deadline: nobody waits for it.
            thread::sleep(Duration::from_secs(3600));
            Some(text.to_owned())
        },
        Duration::from_millis(20),
    );
    let shown = layouts.shown(vec!["a < b".to_owned()]).await;
    assert!(shown[0].is_given_up && shown[0].laid_out.is_none());
    assert!(shown[0].html(Language::English).contains("a &lt; b</pre><p class=\"hint\">This text"));
}

#[tokio::test]
async fn a_layout_that_panics_takes_nothing_else_down() {
    fn lay_out(text: &str) -> Option<String> {
        assert_ne!(text, "bad");
        Some(text.to_owned())
    }
    let layouts = Layouts::new(lay_out, Duration::from_secs(60));
    for _ in 0..2 * THREADS {
        let texts = vec!["bad".to_owned(), "good".to_owned()];
        let shown = layouts.shown(texts).await;
        assert!(shown[0].is_given_up && shown[1].laid_out.as_deref() == Some("good"));
    }
}

#[tokio::test]
async fn only_so_much_of_a_page_is_laid_out() {
    let turns = vec!["x".repeat(markdown::MAX_BYTES); 6];
    let shown = markdown_all(turns).await;
    assert_eq!(shown.iter().filter(|text| text.is_given_up).count(), 2);
    assert!(shown.iter().all(|text| text.written.len() == markdown::MAX_BYTES));
}

#[tokio::test]
async fn of_answers_that_are_compared_none_is_laid_out_unless_all_are() {
    let texts = vec!["**short**".to_owned(), ">".repeat(40_000)];
    let shown = markdown_alike(texts).await;
    assert!(shown.iter().all(|text| text.laid_out.is_none() && text.is_given_up));
    let texts = vec!["**short**".to_owned(), "_long_".to_owned()];
    assert!(markdown_alike(texts).await.iter().all(|text| text.laid_out.is_some()));
}
