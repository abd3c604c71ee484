//! What Prometheus is told, read as strictly as the format (OpenMetrics 1.0) allows.

use std::collections::{BTreeMap, BTreeSet};

/// What one scrape says.
pub(crate) struct Scrape {
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A family of metrics while it is read.
struct MetricFamily {
    name: String,
    kind: String,
}

impl Scrape {
    /// Asks an address (HOST:PORT).
    pub(crate) async fn of(address: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = client.get(format!("http://{address}/metrics")).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{address}: {error}"));
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"].to_str().expect("a text").to_owned();
        assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        Self::read(&answer.text().await.expect("a text"))
    }

    pub(crate) fn read(text: &str) -> Self {
        let lines = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
        let (mut samples, mut seen) = (Vec::new(), BTreeSet::new());
        let mut family: Option<MetricFamily> = None;
        let mut helped = None;
        for line in lines.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a name and a text");
                assert!(is_name(name) && help.ends_with('.'), "{line}");
                helped = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a name and a type");
                assert_eq!(helped.as_deref(), Some(name), "{line}");
                assert!(seen.insert(name.to_owned()), "a family stands there twice: {line}");
                assert!(["counter", "gauge", "histogram", "info"].contains(&kind), "{line}");
                family = Some(MetricFamily { name: name.to_owned(), kind: kind.to_owned() });
            } else {
                let sample = Sample::read(line);
                family.as_ref().unwrap_or_else(|| panic!("no family: {line}")).check(&sample);
                samples.push(sample);
            }
        }
        let mut series = BTreeSet::new();
        for sample in &samples {
            assert!(series.insert((&sample.name, &sample.labels)), "{} twice", sample.name);
        }
        let scrape = Self { samples };
        scrape.check_histograms();
        scrape
    }

    /// The sum over the series of that name with these labels; none without any.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            let is_so = |(label, value): &(&str, &str)| {
                sample.labels.get(*label).is_some_and(|found| found == value)
            };
            sample.name == name && labels.iter().all(is_so)
        };
        let found: Vec<f64> = self.samples.iter().filter(has).map(|sample| sample.value).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// The values of a label.
    pub(crate) fn labels(&self, name: &str, label: &str) -> BTreeSet<String> {
        let of_name = self.samples.iter().filter(|sample| sample.name == name);
        of_name.filter_map(|sample| sample.labels.get(label).cloned()).collect()
    }

    /// The families' names, as a table would list them: without what a histogram adds.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let plain = |name: &str| {
            let end = ["_bucket", "_sum", "_count"].into_iter().find(|end| name.ends_with(end));
            end.map_or(name, |end| name.trim_end_matches(end)).to_owned()
        };
        self.samples.iter().map(|sample| plain(&sample.name)).collect()
    }

    /// Buckets grow, and the last has all.
    fn check_histograms(&self) {
        let buckets: Vec<&Sample> =
            self.samples.iter().filter(|sample| sample.name.ends_with("_bucket")).collect();
        let mut of: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
        for bucket in buckets {
            let mut labels = bucket.labels.clone();
            let bound = labels.remove("le").expect("a bucket has a bound");
            let bound =
                if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a number") };
            let name = bucket.name.trim_end_matches("_bucket").to_owned();
            of.entry((name, labels)).or_default().push((bound, bucket.value));
        }
        for ((name, labels), buckets) in of {
            assert!(buckets.is_sorted(), "{name} {labels:?}: {buckets:?}");
            let labels: Vec<(&str, &str)> =
                labels.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
            let (bound, all) = buckets.last().expect("a bucket");
            assert_eq!(*bound, f64::INFINITY, "{name}");
            assert_eq!(Some(*all), self.value(&format!("{name}_count"), &labels), "{name}");
            assert!(self.value(&format!("{name}_sum"), &labels).is_some(), "{name}");
        }
    }
}

impl MetricFamily {
    fn check(&self, sample: &Sample) {
        let end = sample.name.strip_prefix(&self.name);
        let end = end.unwrap_or_else(|| panic!("{} is not of {}", sample.name, self.name));
        let ends: &[&str] = match self.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            _ => &["_bucket", "_sum", "_count"],
        };
        assert!(ends.contains(&end), "{} of a {}", sample.name, self.kind);
        assert!(!sample.value.is_nan(), "{}", sample.name);
        assert!(self.kind == "gauge" || sample.value >= 0.0, "{} fell", sample.name);
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        let (name, labels) = match series.split_once('{') {
            None => (series, ""),
            Some((name, rest)) => (name, rest.strip_suffix('}').expect("a closing brace")),
        };
        assert!(is_name(name), "{line}");
        let mut rest = labels;
        let mut read = BTreeMap::new();
        while !rest.is_empty() {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let (value, after) = quoted(after).unwrap_or_else(|| panic!("no end: {line}"));
            assert!(read.insert(label.to_owned(), value).is_none(), "{label} twice: {line}");
            rest = match after.strip_prefix(',') {
                Some(more) => more,
                None => {
                    assert!(after.is_empty(), "{line}");
                    after
                }
            };
        }
        Self { name: name.to_owned(), labels: read, value }
    }
}

fn is_name(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    !name.is_empty() && name.chars().all(is_letter) && !name.starts_with(|c: char| c.is_numeric())
}

/// A value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                _ => return None,
            },
            _ => value.push(letter),
        }
    }
    None
}

#[test]
fn a_scrape_that_breaks_the_format_is_refused() {
    let refused = |text: &str| std::panic::catch_unwind(|| Scrape::read(text)).is_err();
    let good = "# HELP a A.\n# TYPE a counter\na_total{b=\"c \\\"d\\\"\"} 1\n# EOF\n";
    assert_eq!(Scrape::read(good).value("a_total", &[("b", "c \"d\"")]), Some(1.0));
    for bad in [
        "# HELP a A.\n# TYPE a counter\na_total 1\n",
        "# HELP a A.\n# TYPE a counter\na 1\n# EOF\n",
        "# HELP a A.\n# TYPE a counter\na_total 1\na_total 2\n# EOF\n",
        "# HELP a A.\n# TYPE a counter\na_total{b=\"c} 1\n# EOF\n",
        "a_total 1\n# EOF\n",
        "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n# EOF\n",
    ] {
        assert!(refused(bad), "{bad}");
    }
}
