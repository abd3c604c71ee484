//! The rules by which an answer is rewarded, read on its words and its length.

use super::solution::Solution;
use crate::answer::generate::Completion;
use anyhow::Result;
use entity::run_config::RolloutSettings;
use jsonschema::Validator;
use regex::Regex;
use serde_json::Value;
use trainer_base::{rows::PromptIds, tokenizer::Tokenizer};

/// The part of the reward that is no rule.
pub(crate) const REWARD_MODEL: &str = "reward_model";

/// What is said of the answers by one of those who reward them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RewardPart {
    /// In metrics: `rewards/{name}/mean`, as TRL calls them.
    pub(crate) name: &'static str,
    pub(crate) weight: f32,
    /// Of each answer, before it is weighted.
    pub(crate) scores: Vec<f32>,
}

/// The rules of a run, ready to be applied.
pub(crate) struct AnswerRules {
    rules: Vec<(f32, Rule)>,
}

enum Rule {
    /// 1 where it is found; blanks around an answer do not count.
    Regex(Regex),
    /// 1 where the answer is JSON that fits.
    JsonSchema(Box<Validator>),
    /// 1 where the answer comes to the solution of its prompt.
    ExactMatch,
    /// From 0 down to -1 over the last tokens of those that an answer may have (Yu et al. 2025, "DAPO",
    /// equation 13; TRL: `get_soft_overlong_punishment`).
    Overlong { most: f32, last: f32 },
}

/// An answer, and what is known of its prompt.
struct JudgedAnswer<'a> {
    solution: Option<&'a str>,
    text: String,
    n_tokens: usize,
}

impl AnswerRules {
    /// An error where the settings' own problems would say so.
    pub(crate) fn new(settings: &RolloutSettings) -> Result<Self> {
        let of = &settings.rules;
        let (regex, schema) = (of.regex()?, of.json_schema()?);
        let last = of.rule_overlong_tokens as f32;
        let overlong = Rule::Overlong { most: settings.answer_length as f32, last };
        let rules = [
            regex.map(|regex| (of.rule_regex_weight, Rule::Regex(regex))),
            schema.map(|schema| (of.rule_json_schema_weight, Rule::JsonSchema(Box::new(schema)))),
            of.rule_exact_match.then_some((of.rule_exact_match_weight, Rule::ExactMatch)),
            (last > 0.0).then_some((of.rule_overlong_weight, overlong)),
        ];
        let rules = rules.into_iter().flatten().map(|(weight, rule)| (weight as f32, rule));
        Ok(Self { rules: rules.collect() })
    }

    /// What each rule says of each answer to the prompts that were asked.
    pub(crate) fn judge(
        &self,
        asked: &[&PromptIds],
        answers: &[Completion],
        tokenizer: &Tokenizer,
    ) -> Vec<RewardPart> {
        if self.rules.is_empty() {
            return Vec::new();
        }
        let judged: Vec<JudgedAnswer> = asked
            .iter()
            .zip(answers)
            .map(|(prompt, answer)| JudgedAnswer {
                solution: prompt.solution.as_deref(),
                text: tokenizer.completion_text(&answer.token_ids),
                n_tokens: answer.token_ids.len(),
            })
            .collect();
        let part = |(weight, rule): &(f32, Rule)| {
            let scores = judged.iter().map(|answer| rule.score(answer));
            RewardPart { name: rule.name(), weight: *weight, scores: scores.collect() }
        };
        self.rules.iter().map(part).collect()
    }
}

impl Rule {
    fn name(&self) -> &'static str {
        match self {
            Self::Regex(_) => "regex",
            Self::JsonSchema(_) => "json_schema",
            Self::ExactMatch => "exact_match",
            Self::Overlong { .. } => "overlong",
        }
    }

    fn score(&self, answer: &JudgedAnswer) -> f32 {
        let JudgedAnswer { solution, text, n_tokens } = answer;
        match self {
            // Answers to plain text begin with a blank, of which nobody thinks.
            Self::Regex(regex) => f32::from(regex.is_match(text.trim())),
            Self::JsonSchema(schema) => {
                let value = serde_json::from_str::<Value>(unfenced(text));
                f32::from(value.is_ok_and(|value| schema.is_valid(&value)))
            }
            Self::Overlong { most, last } => {
                ((most - last - *n_tokens as f32) / last).clamp(-1.0, 0.0)
            }
            Self::ExactMatch => {
                let solution = solution.and_then(Solution::of);
                f32::from(solution.is_some_and(|solution| solution.is_reached(text)))
            }
        }
    }
}

/// What stands in the one block of code that an answer consists of, or else the answer: models like to
/// fence what they are asked for.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    let inner = inner.and_then(|inner| inner.split_once('\n'));
    match inner {
        Some((language, inner)) if language.trim().chars().all(char::is_alphanumeric) => inner,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(rule: &Rule, text: &str, n_tokens: usize) -> f32 {
        rule.score(&JudgedAnswer { solution: None, text: text.to_owned(), n_tokens })
    }

    fn rule(schema: &str) -> Rule {
        let schema = serde_json::from_str(schema).unwrap();
        Rule::JsonSchema(Box::new(jsonschema::validator_for(&schema).unwrap()))
    }

    #[test]
    fn an_answer_is_rewarded_where_the_expression_is_found() {
        let thinks = Rule::Regex(Regex::new("(?s)^<think>.*</think>").unwrap());
        for (text, score) in [
            ("<think>a\nb</think> 7", 1.0),
            (" <think>a</think>\n", 1.0),
            ("First: <think>a</think>", 0.0),
            ("<think>a", 0.0),
            ("", 0.0),
        ] {
            assert_eq!(scored(&thinks, text, 1), score, "{text}");
        }
    }

    #[test]
    fn an_answer_is_rewarded_where_it_is_json_that_fits() {
        let named = rule(r#"{"type": "object", "required": ["name"]}"#);
        for (text, score) in [
            (r#"{"name": "Anna"}"#, 1.0),
            (" {\"name\": 1}\n", 1.0),
            ("```json\n{\"name\": 1}\n```", 1.0),
            ("```\n{\"name\": 1}\n```", 1.0),
            (r#"{"title": "Anna"}"#, 0.0),
            (r#"Here it is: {"name": "Anna"}"#, 0.0),
            (r#"{"name": "Anna""#, 0.0),
            ("", 0.0),
            ("```", 0.0),
            ("``````", 0.0),
        ] {
            assert_eq!(scored(&named, text, 1), score, "{text}");
        }
        // Deeper than anybody writes: no JSON, and no end of the stack.
        assert_eq!(scored(&named, &"[".repeat(100_000), 1), 0.0);
    }

    #[test]
    fn an_answer_near_its_end_is_punished_as_trl_does() {
        // get_soft_overlong_punishment(max_completion_len=100, soft_punish_cache=20) of TRL 1.16.
        let overlong = Rule::Overlong { most: 100.0, last: 20.0 };
        for (n_tokens, score) in
            [(0, 0.0), (80, 0.0), (81, -0.05), (90, -0.5), (100, -1.0), (120, -1.0)]
        {
            assert!((scored(&overlong, "", n_tokens) - score).abs() < 1e-6, "{n_tokens}");
        }
    }
}
