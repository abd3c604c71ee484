//! How both programs write their log lines, and which.

/// `--log-format`, `ATTUNE_LOG_FORMAT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, for programs.
    Json,
}

impl LogFormat {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// The HTTP server of both programs calls it an error when a stranger speaks no HTTP.
const ALARMED: &str = "actix_http::h1::dispatcher";

/// Which lines are written: as `RUST_LOG` says, else as is usual. What alarms about strangers is left
/// out unless somebody asks for it by its name.
pub fn log_directives(asked: Option<&str>, usual: &str) -> String {
    let asked = asked.filter(|asked| !asked.trim().is_empty()).unwrap_or(usual);
    let is_level = |target: &str| {
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        levels.contains(&target.to_lowercase().as_str()) || target.parse::<u8>().is_ok()
    };
    let names_it = asked.split(',').any(|directive| {
        let target = directive.split(['=', '[']).next().unwrap_or_default().trim();
        !target.is_empty() && !is_level(target) && ALARMED.starts_with(target)
    });
    if names_it { asked.to_owned() } else { format!("{asked},{ALARMED}=off") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alarms_about_strangers_is_left_out_unless_it_is_named() {
        let quiet = |asked| log_directives(asked, "warn") != asked.unwrap_or("warn");
        for asked in [None, Some(""), Some("info"), Some("DEBUG,annotator=trace"), Some("5")] {
            assert!(quiet(asked), "{asked:?}");
        }
        for asked in ["actix_http=debug", "info,actix_http::h1::dispatcher=error", "actix_http[x]"]
        {
            assert!(!quiet(Some(asked)), "{asked}");
        }
        assert_eq!(log_directives(None, "warn"), "warn,actix_http::h1::dispatcher=off");
    }
}
