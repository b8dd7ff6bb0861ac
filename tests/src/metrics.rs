//! What `/metrics` says, in the text exposition format.

use std::collections::BTreeMap;

/// One scrape.
#[derive(Debug, Clone)]
pub struct Metrics {
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Metrics {
    /// Parses a scrape.
    pub fn parse(text: &str) -> Self {
        Self { samples: text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect() }
    }

    /// The sum of the samples of `name` that have all of `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |set: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| set.get(*key).is_some_and(|have| have == value))
        };
        self.samples
            .iter()
            .filter(|(sample, set, _)| sample == name && has(set))
            .map(|(_, _, value)| value)
            .sum()
    }

    /// Requests and connections refused for `reason`, whether or not they had reached an app.
    pub fn refused(&self, reason: &str) -> f64 {
        let labels = [("reason", reason)];
        self.sum("lockstep_refused_total", &labels) + self.sum("lockstep_requests_total", &labels)
    }
}

fn sample(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let labels = labels
        .split("\",")
        .filter_map(|pair| pair.split_once("=\""))
        .map(|(key, value)| (key.to_owned(), value.trim_end_matches('"').to_owned()))
        .collect();
    Some((name.to_owned(), labels, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_label() {
        let text = "# HELP a b\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\na{x=\"2\"} 5\nb 6\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.sum("a", &[("x", "1")]), 7.0);
        assert_eq!(metrics.sum("a", &[]), 12.0);
        assert_eq!(metrics.sum("b", &[]), 6.0);
        assert_eq!(metrics.sum("c", &[]), 0.0);
    }
}
