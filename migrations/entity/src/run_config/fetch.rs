//! The settings of fetching a base: where from.

use super::{ConfigError, ConfigProblem, RunConfig, problem};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A base model from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Args)]
pub struct FetchConfig {
    /// Which base: ORG/NAME of the Hugging Face hub, or a model folder of this machine (/… or ./…)
    ///
    /// Of a folder what a model needs is copied, after the same checks. The hub's usual variables
    /// count: HF_TOKEN for gated and private models, HF_ENDPOINT for a mirror, HF_HOME for the
    /// cache, HTTPS_PROXY. Started again it goes on where it was interrupted.
    #[arg(value_name = "ORG/NAME|FOLDER")]
    pub source: String,
    /// Branch, tag or commit of the hub's repository
    #[arg(long, value_name = "REVISION", default_value = FetchConfig::MAIN)]
    pub revision: String,
}

/// Where a base comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchSource<'a> {
    /// A repository of the hub, ORG/NAME.
    Hub(&'a str),
    /// A folder of the machine that fetches.
    Folder(&'a Path),
}

impl FetchConfig {
    /// The revision that the hub takes for granted.
    pub const MAIN: &'static str = "main";

    /// What `source` names; none where it is neither.
    pub fn source(&self) -> Option<FetchSource<'_>> {
        if is_repository(&self.source) {
            return Some(FetchSource::Hub(&self.source));
        }
        let is_folder = ["/", "./", "../"].iter().any(|start| self.source.starts_with(start));
        is_folder.then(|| FetchSource::Folder(Path::new(&self.source)))
    }

    /// What the model is called: the repository, or the folder's own name.
    pub fn model_name(&self) -> &str {
        match self.source() {
            Some(FetchSource::Folder(folder)) => {
                folder.file_name().and_then(|name| name.to_str()).unwrap_or("base")
            }
            _ => &self.source,
        }
    }
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { source: String::new(), revision: Self::MAIN.to_owned() }
    }
}

impl RunConfig for FetchConfig {
    fn problems(&self) -> Vec<ConfigError> {
        let mut found = Vec::new();
        let is_absolute = match self.source() {
            Some(FetchSource::Folder(folder)) => folder.is_absolute(),
            Some(FetchSource::Hub(_)) => true,
            None => false,
        };
        if !is_absolute {
            found.push(problem("source", ConfigProblem::NoSource));
        }
        let is_one_word =
            |text: &str| !text.is_empty() && !text.contains(|letter: char| letter.is_whitespace());
        if !is_one_word(&self.revision) {
            found.push(problem("revision", ConfigProblem::NoRevision));
        } else if matches!(self.source(), Some(FetchSource::Folder(_)))
            && self.revision != Self::MAIN
        {
            found.push(problem("revision", ConfigProblem::RevisionOfFolder));
        }
        found
    }
}

/// Whether `name` looks like ORG/NAME.
fn is_repository(name: &str) -> bool {
    let is_plain = |part: &str| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        !part.is_empty() && !part.starts_with(['.', '-']) && part.chars().all(plain)
    };
    name.split_once('/').is_some_and(|(owner, name)| is_plain(owner) && is_plain(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(source: &str, revision: &str) -> FetchConfig {
        FetchConfig { source: source.into(), revision: revision.into() }
    }

    #[test]
    fn a_repository_and_a_folder_are_told_apart_and_name_the_model() {
        let hub = config("Qwen/Qwen3-0.6B", "main");
        assert_eq!(hub.source(), Some(FetchSource::Hub("Qwen/Qwen3-0.6B")));
        assert_eq!(hub.model_name(), "Qwen/Qwen3-0.6B");
        let folder = config("/srv/models/mine/", "main");
        assert_eq!(folder.source(), Some(FetchSource::Folder(Path::new("/srv/models/mine/"))));
        assert_eq!(folder.model_name(), "mine");
        assert_eq!(
            config("./mine", "main").source(),
            Some(FetchSource::Folder(Path::new("./mine")))
        );
        for neither in ["", "mine", "a/b/c", "../", "-x/y", "a b/c", "https://hub/a/b"] {
            let config = config(neither, "main");
            let is_hub = matches!(config.source(), Some(FetchSource::Hub(_)));
            assert!(!is_hub, "{neither}");
        }
    }

    #[test]
    fn what_no_worker_could_fetch_is_a_problem_of_its_field() {
        let fields = |source, revision| {
            let found = config(source, revision).problems().into_iter();
            found.map(|error| error.field).collect::<Vec<_>>()
        };
        assert!(fields("Qwen/Qwen3-0.6B", "refs/pr/1").is_empty());
        assert!(fields("/srv/mine", "main").is_empty());
        assert_eq!(fields("./mine", "main"), ["source"], "the worker works elsewhere");
        assert_eq!(fields("qwen", " "), ["source", "revision"]);
        assert_eq!(fields("/srv/mine", "v2"), ["revision"]);
    }
}
