//! The page on which somebody writes the ideal answer to a prompt.

use crate::web::{access::Access, page::Page};
use crate::work::task_view::View;
use askama::Template;

#[derive(Template)]
#[template(path = "tasks/demonstrate.html")]
pub struct DemonstratePage {
    pub page: Page,
    pub access: Access,
    pub view: View,
    pub preview_html: Option<String>,
}
