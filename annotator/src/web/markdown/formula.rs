//! Formulas in LaTeX to MathML, which browsers typeset themselves.

use math_core::{LatexToMathML, MathCoreConfig, MathDisplay};
use std::sync::LazyLock;

/// Braces, fractions and environments inside of each other; the converter calls itself for each.
const MAX_NESTING: usize = 200;

/// What models write and the converter does not know. It has no frame, so a box becomes two lines.
const MACROS: [(&str, &str); 2] =
    [("boxed", r"\overline{\underline{#1}}"), ("dfrac", r"\displaystyle\frac{#1}{#2}")];

static CONVERTER: LazyLock<LatexToMathML> = LazyLock::new(|| {
    let macros = MACROS.map(|(name, meaning)| (name.to_owned(), meaning.to_owned())).to_vec();
    let config = MathCoreConfig { macros, ..MathCoreConfig::default() };
    LatexToMathML::new(config).unwrap_or_default()
});

/// Alignment in tables, which the converter says as styles and a page may take only as classes.
const CLASSES: [(&str, &str); 2] = [("text-align: right", "right"), ("text-align: left", "left")];

/// The formula as MathML; none for one that is not understood, or that nests too deeply.
pub(super) fn to_mathml(latex: &str, is_display: bool) -> Option<String> {
    if latex.matches(['{', '\\', '^', '_']).count() > MAX_NESTING * 5
        || nesting(latex) > MAX_NESTING
    {
        return None;
    }
    let display = if is_display { MathDisplay::Block } else { MathDisplay::Inline };
    let mut mathml = CONVERTER.convert_with_local_state(latex, display).ok()?.mathml;
    for (style, class) in CLASSES {
        mathml = mathml.replace(
            &format!("<mtd style=\"{style}"),
            &format!("<mtd class=\"{class}\" style=\"{style}"),
        );
    }
    Some(mathml)
}

/// How deep braces are inside of each other.
fn nesting(latex: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in latex.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
