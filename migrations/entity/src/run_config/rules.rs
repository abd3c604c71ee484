//! What an answer is rewarded for: a reward model's score, and rules that anybody can read.

use super::{ConfigError, ConfigProblem, MOST_OF_ANYTHING, problem};
use clap::Args;
use jsonschema::{PatternOptions, Validator};
use regex::Regex;
use serde::{Deserialize, Serialize};

/// The reward of an answer is the sum of these, each times its weight (TRL: `reward_funcs` and
/// `reward_weights`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
#[serde(default)] // runs that are older than rules go on
pub struct RewardRules {
    /// How much the reward model's score counts in the reward of an answer
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub reward_weight: f64,
    /// Take the mean of the reward model's scores off each of them and divide by their standard deviation, before weight and rules; `trainer reward` measures both and writes them into the model (score_mean, score_std)
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false, value_name = "true|false")]
    pub normalize_scores: bool,
    /// Reward answers in which this regular expression is found, blanks around them aside, such as '(?s)^<think>.*</think>'
    #[arg(long, default_value = "", hide_default_value = true, value_name = "REGEX")]
    pub rule_regex: String,
    /// What such an answer gains; below 0 it loses as much
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub rule_regex_weight: f64,
    /// Reward answers that are JSON and fit this JSON schema, such as '{"type": "object", "required": ["name"]}'
    #[arg(long, default_value = "", hide_default_value = true, value_name = "SCHEMA")]
    pub rule_json_schema: String,
    /// What such an answer gains; below 0 it loses as much
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub rule_json_schema_weight: f64,
    /// Reward answers that come to the `solution` of their prompt, which every row then has: what stands in the last \boxed{…} of each, or behind its last ####, or else the last number of the answer, or all of it where the solution is no number. Numbers are the same with and without thousands separators and zeros at the end
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false, value_name = "true|false")]
    pub rule_exact_match: bool,
    /// What such an answer gains; below 0 it loses as much
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub rule_exact_match_weight: f64,
    /// Punish answers that come within so many tokens of the most that they may have: the reward falls from 0 to -1 over them; 0 punishes none
    #[arg(long, default_value_t = 0)]
    pub rule_overlong_tokens: usize,
    /// How much that counts
    #[arg(long, default_value_t = 1.0)]
    pub rule_overlong_weight: f64,
}

impl Default for RewardRules {
    fn default() -> Self {
        Self {
            reward_weight: 1.0,
            normalize_scores: false,
            rule_regex: String::new(),
            rule_regex_weight: 1.0,
            rule_json_schema: String::new(),
            rule_json_schema_weight: 1.0,
            rule_exact_match: false,
            rule_exact_match_weight: 1.0,
            rule_overlong_tokens: 0,
            rule_overlong_weight: 1.0,
        }
    }
}

impl RewardRules {
    /// Whether a rule says something of an answer, whatever a reward model says.
    pub fn is_any_on(&self) -> bool {
        self.weights().iter().any(|(_, weight, is_on)| *is_on && *weight != 0.0)
    }

    /// The weight of every rule by its field, and whether the rule is on.
    fn weights(&self) -> [(&'static str, f64, bool); 4] {
        [
            ("rule_regex_weight", self.rule_regex_weight, self.has_regex()),
            ("rule_json_schema_weight", self.rule_json_schema_weight, self.has_json_schema()),
            ("rule_exact_match_weight", self.rule_exact_match_weight, self.rule_exact_match),
            ("rule_overlong_weight", self.rule_overlong_weight, self.rule_overlong_tokens > 0),
        ]
    }

    fn has_regex(&self) -> bool {
        !self.rule_regex.is_empty()
    }

    fn has_json_schema(&self) -> bool {
        !self.rule_json_schema.is_empty()
    }

    /// Searched in time that is linear in the answer, whatever is sought.
    pub fn regex(&self) -> Result<Option<Regex>, ConfigError> {
        let read = || Regex::new(&self.rule_regex).map_err(|error| error.to_string());
        let found = self.has_regex().then(read).transpose();
        found.map_err(|reason| problem("rule_regex", ConfigProblem::NoRegex { reason }))
    }

    /// Draft 2020-12 unless it names another; of nothing elsewhere, and its patterns are searched as the
    /// regular expression is.
    pub fn json_schema(&self) -> Result<Option<Validator>, ConfigError> {
        let read = || -> Result<Validator, String> {
            let schema = serde_json::from_str(&self.rule_json_schema);
            let schema: serde_json::Value = schema.map_err(|error| error.to_string())?;
            let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
            options.build(&schema).map_err(|error| error.to_string())
        };
        let found = self.has_json_schema().then(read).transpose();
        found.map_err(|reason| problem("rule_json_schema", ConfigProblem::NoSchema { reason }))
    }

    /// The weights of rules that are off.
    pub(super) fn idle(&self) -> Vec<ConfigError> {
        let off = self.weights().into_iter().filter(|(_, _, is_on)| !is_on);
        off.map(|(field, ..)| problem(field, ConfigProblem::NoRule)).collect()
    }

    /// What is wrong with them where an answer has `answer_length` tokens at the most.
    pub(super) fn problems(&self, found: &mut Vec<ConfigError>, answer_length: usize) {
        found.extend(self.regex().err());
        found.extend(self.json_schema().err());
        if self.rule_overlong_tokens > answer_length {
            found.push(problem("rule_overlong_tokens", ConfigProblem::LongerThanAnswers));
        }
        let is_weight = |value: f64| value.abs() <= MOST_OF_ANYTHING as f64;
        for (field, weight, is_on) in self.weights() {
            if !is_weight(weight) {
                found.push(problem(field, ConfigProblem::NoWeight));
            } else if !is_on && weight != 1.0 {
                found.push(problem(field, ConfigProblem::NoRule));
            }
        }
        let weight = self.reward_weight;
        if !is_weight(weight) {
            found.push(problem("reward_weight", ConfigProblem::NoWeight));
        } else if weight == 0.0 && !self.is_any_on() {
            found.push(problem("reward_weight", ConfigProblem::NothingRewarded));
        }
    }
}
