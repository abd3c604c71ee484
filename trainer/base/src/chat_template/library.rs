//! Filters, tests and methods that Python has and minijinja has not, or has otherwise.

use super::{
    python,
    source::{GENERATED, LOOPED, MARKS},
};
use minijinja::{
    Environment, Error, ErrorKind, State,
    value::{Kwargs, Value, ValueKind, from_args},
};
use minijinja_contrib::pycompat;

pub(super) fn add_to(environment: &mut Environment<'static>) {
    minijinja_contrib::add_to_environment(environment); // joiner and cycler, among others
    environment.set_unknown_method_callback(method);
    environment.set_formatter(python::format);
    environment.add_filter("tojson", python::tojson);
    environment.add_filter("string", |value: &Value| python::to_str(value));
    environment.add_filter("trim", trim);
    environment.add_filter("indent", indent);
    environment.add_filter("join", join);
    environment.add_filter(LOOPED, looped);
    environment.add_filter(GENERATED, |text: &str| format!("{}{text}{}", MARKS[0], MARKS[1]));
    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment.add_test("number", |value: &Value| {
        matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
    });
}

/// What a loop goes through, of known length, so that `loop.last` is known. Nothing goes through None.
fn looped(value: Value) -> Result<Value, Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "None is not iterable"));
    }
    let values = value.try_iter()?;
    match values.size_hint() {
        (least, Some(most)) if least == most => Ok(value),
        _ => Ok(values.collect::<Vec<_>>().into()),
    }
}

/// Whatever has a length and items, a text and an object among them.
fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Map | ValueKind::String | ValueKind::Undefined
    )
}

/// Jinja's `trim`, which is Python's `strip` of the value as text.
fn trim(value: &Value, letters: Option<String>) -> String {
    let text = python::to_str(value);
    match letters {
        Some(letters) => text.trim_matches(|letter| letters.contains(letter)).to_owned(),
        None => text.trim_matches(is_space).to_owned(),
    }
}

/// Jinja's `indent`, which keeps a line break at the end.
fn indent(
    state: &State,
    text: &str,
    width: Option<Value>,
    first: Option<bool>,
    options: Kwargs,
) -> Result<String, Error> {
    let flag = |name| Ok::<_, Error>(options.get::<Option<bool>>(name)?.unwrap_or(false));
    let width = width.or(options.get("width")?).unwrap_or_else(|| Value::from(4));
    let (first, blank) = (first.unwrap_or(flag("first")?), flag("blank")?);
    options.assert_all_used()?;
    let n_lines = text.split(is_line_end).count();
    let n_wide = match width.as_str() {
        Some(indentation) => indentation.len(),
        None => usize::try_from(width.clone())?,
    };
    state.consume_fuel(n_wide.saturating_mul(n_lines) as u64)?;
    let indentation = width.as_str().map_or_else(|| " ".repeat(n_wide), str::to_owned);
    // Two letters may end one line.
    let text = text.replace("\r\n", "\n");
    let lines = text.split(is_line_end).enumerate().map(|(at, line)| {
        let is_indented = if at == 0 { first } else { blank || !line.is_empty() };
        if is_indented { format!("{indentation}{line}") } else { line.to_owned() }
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// What ends a line for Python's `str.splitlines`.
fn is_line_end(letter: char) -> bool {
    matches!(letter, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Jinja's `join`, of items as Python writes them.
fn join(
    state: &mut State,
    value: &Value,
    between: Option<String>,
    attribute: Option<&str>,
    options: Kwargs,
) -> Result<Value, Error> {
    let between = match between {
        Some(between) => between,
        None => options.get::<Option<String>>("d")?.unwrap_or_default(),
    };
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => options.get("attribute")?,
    };
    options.assert_all_used()?;
    let values = match attribute {
        Some(attribute) => {
            let attribute = Kwargs::from_iter([("attribute", Value::from(attribute))]);
            state.apply_filter("map", &[value.clone(), attribute.into()])?
        }
        None => value.clone(),
    };
    Ok(Value::from(joined(state, &between, &values)?))
}

fn joined(state: &State, between: &str, values: &Value) -> Result<String, Error> {
    let mut text = String::new();
    for (at, item) in looped(values.clone())?.try_iter()?.enumerate() {
        if at > 0 {
            text.push_str(between);
        }
        let item = python::to_str(&item);
        // The text between is written again for every item, and an item can be there many times.
        state.consume_fuel((1 + between.len() + item.len()) as u64)?;
        text.push_str(&item);
    }
    Ok(text)
}

/// A method that a value has in Python.
fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    match value.as_str().map(|text| of_text(text, name, arguments)) {
        Some(Ok(Some(result))) => Ok(result),
        Some(Err(error)) => Err(error),
        _ => pycompat::unknown_method_callback(state, value, name, arguments),
    }
}

/// None for a method that is not one of these.
fn of_text(text: &str, name: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    let parts =
        |parts: [&str; 3]| Value::from(minijinja::value::Tuple::from(parts.map(Value::from)));
    Ok(Some(match (name, arguments) {
        ("strip", []) => Value::from(text.trim_matches(is_space)),
        ("lstrip", []) => Value::from(text.trim_start_matches(is_space)),
        ("rstrip", []) => Value::from(text.trim_end_matches(is_space)),
        ("removeprefix", _) => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        ("removesuffix", _) => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        ("partition", _) => {
            let (at,): (&str,) = from_args(arguments)?;
            match text.split_once(at) {
                Some((before, after)) => parts([before, at, after]),
                None => parts([text, "", ""]),
            }
        }
        ("rpartition", _) => {
            let (at,): (&str,) = from_args(arguments)?;
            match text.rsplit_once(at) {
                Some((before, after)) => parts([before, at, after]),
                None => parts(["", "", text]),
            }
        }
        ("rsplit", _) => {
            let (at, most): (&str, Option<usize>) = from_args(arguments)?;
            let n = most.unwrap_or(usize::MAX).saturating_add(1);
            let mut pieces: Vec<Value> = text.rsplitn(n, at).map(Value::from).collect();
            pieces.reverse();
            Value::from(pieces)
        }
        _ => return Ok(None),
    }))
}

/// Python's `str.isspace`, which takes the four separators of ASCII for space.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}
