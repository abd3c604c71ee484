//! What may be in HTML that was made of Markdown; everything else is dropped, whoever put it there.

use ammonia::{Builder, UrlRelative};
use std::sync::LazyLock;

const MATH_TAGS: [&str; 25] = [
    "math",
    "menclose",
    "merror",
    "mfrac",
    "mi",
    "mmultiscripts",
    "mn",
    "mo",
    "mover",
    "mpadded",
    "mphantom",
    "mprescripts",
    "mroot",
    "mrow",
    "mspace",
    "msqrt",
    "mstyle",
    "msub",
    "msubsup",
    "msup",
    "mtable",
    "mtd",
    "mtext",
    "mtr",
    "munder",
];

const MATH_ATTRIBUTES: [&str; 21] = [
    "accent",
    "accentunder",
    "columnspan",
    "depth",
    "display",
    "displaystyle",
    "fence",
    "height",
    "largeop",
    "linethickness",
    "lspace",
    "mathvariant",
    "maxsize",
    "minsize",
    "movablelimits",
    "rspace",
    "scriptlevel",
    "separator",
    "stretchy",
    "symmetric",
    "width",
];

static ALLOWED: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut allowed = Builder::default();
    allowed.add_generic_attributes(["class", "dir"]).add_tags(MATH_TAGS).add_tags(["munderover"]);
    allowed.add_tag_attributes("li", ["value"]);
    // A link of a text never leads into this app by itself.
    allowed.url_schemes(["http", "https", "mailto"].into()).url_relative(UrlRelative::Deny);
    for tag in MATH_TAGS.into_iter().chain(["munderover"]) {
        allowed.add_tag_attributes(tag, MATH_ATTRIBUTES);
    }
    allowed
});

pub(super) fn sanitise(html: &str) -> String {
    ALLOWED.clean(html).to_string()
}
