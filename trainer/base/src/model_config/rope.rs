//! RoPE as `config.json` tells it: in `rope_parameters`, in `rope_scaling`, and beside them.

use super::ConfigFile;
use crate::errors::WithMessage;
use anyhow::{Result, bail, ensure};
use entity::message;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// Rotary position embedding: theta^(−2i/d), for Llama 3.1 stretched.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    pub theta: f64,
    pub llama3: Option<Llama3Scaling>,
}

/// How Llama 3.1 stretches long wavelengths (transformers: `_compute_llama3_parameters`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Llama3Scaling {
    pub factor: f64,
    pub low_freq_factor: f64,
    pub high_freq_factor: f64,
    pub original_max_position_embeddings: f64,
}

/// The one value that the file's places name; an error where they name several: versions of
/// transformers differ in which they take.
fn the_one<T: Clone + PartialEq + fmt::Debug>(what: &str, named: &[T]) -> Result<Option<T>> {
    if let Some(other) = named.iter().find(|value| **value != named[0]) {
        bail!(message!(
            "model-two-ropes",
            "{what} is {one} in one place and {other} in another of rope_parameters, rope_scaling and the keys beside them: keep the one that the model was trained with",
            what = what,
            one = format!("{:?}", named[0]),
            other = format!("{other:?}")
        ));
    }
    Ok(named.first().cloned())
}

/// What the places of the file that speak of RoPE say together.
pub(super) fn of_file(file: &ConfigFile) -> Result<RopeConfig> {
    let places: Vec<&Value> = [&file.rope_parameters, &file.rope_scaling]
        .into_iter()
        .flatten()
        .filter(|values| !values.is_null())
        .collect();
    let all = |key: &'static str| places.iter().filter_map(move |values| values.get(key)?.as_f64());
    let thetas: Vec<f64> = all("rope_theta").chain(file.rope_theta).collect();
    let theta = the_one("rope_theta", &thetas)?.unwrap_or(10_000.0);
    ensure!(
        all("partial_rotary_factor").chain(file.partial_rotary_factor).all(|part| part == 1.0),
        message!(
            "model-partly-rotated",
            "partial_rotary_factor is not 1; this trainer rotates whole heads"
        )
    );
    let scalings: Vec<Option<Llama3Scaling>> =
        places.iter().map(|values| scaling(values, file)).collect::<Result<_>>()?;
    Ok(RopeConfig { theta, llama3: the_one("rope_type", &scalings)?.flatten() })
}

/// How one place stretches RoPE; none where it does not.
fn scaling(values: &Value, file: &ConfigFile) -> Result<Option<Llama3Scaling>> {
    let kind = values.get("rope_type").or_else(|| values.get("type")).and_then(Value::as_str);
    match kind {
        None | Some("default") => Ok(None),
        Some("llama3") => {
            let mut values = values.clone();
            // As transformers fills it in.
            if values["original_max_position_embeddings"].is_null() {
                values["original_max_position_embeddings"] = file.max_position_embeddings.into();
            }
            let read = serde_json::from_value(values);
            read.with_message(|| message!("model-rope-scaling", "the scaling of RoPE")).map(Some)
        }
        Some(kind) => {
            bail!(message!(
                "model-other-rope",
                "rope_type is {found}; this trainer computes \"default\" and \"llama3\"",
                found = format!("{kind:?}")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use serde_json::json;

    #[test]
    fn both_spellings_of_rope_are_read() {
        let new = json!({
            "rope_theta": null, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}
        });
        assert_eq!(parse(new).unwrap().rope.theta, 5e5);
        let old = json!({"rope_scaling": {
            "type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192
        }});
        let rope = parse(old).unwrap().rope;
        assert_eq!((rope.theta, rope.llama3.unwrap().factor), (1e5, 8.0));
    }

    #[test]
    fn two_places_that_say_different_things_of_rope_are_refused() {
        let llama3 = json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192
        });
        let mut stronger = llama3.clone();
        stronger["factor"] = json!(32.0);
        for (scaling, parameters, what) in [
            (json!({"rope_type": "default", "rope_theta": 5e5}), json!({}), "rope_theta"),
            (json!(null), json!({"rope_theta": 5e5, "rope_type": "default"}), "rope_theta"),
            (llama3.clone(), json!({"rope_type": "default"}), "rope_type"),
            (llama3.clone(), stronger, "rope_type"),
        ] {
            let both = json!({"rope_scaling": scaling, "rope_parameters": parameters});
            let error = parse(both).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("in another"), "{error}");
        }
        let mut same = llama3.clone();
        same["rope_theta"] = json!(1e5);
        let both = json!({"rope_scaling": llama3, "rope_parameters": same});
        assert_eq!(parse(both).unwrap().rope.llama3.unwrap().factor, 8.0);
    }
}
