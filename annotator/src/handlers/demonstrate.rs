//! The page on which somebody writes the ideal answer to a prompt.

use super::task::view::View;
use crate::{access::Access, page::Page};
use askama::Template;

#[derive(Template)]
#[template(path = "tasks/demonstrate.html")]
pub struct DemonstratePage {
    pub page: Page,
    pub access: Access,
    pub view: View,
    pub preview_html: Option<String>,
}
