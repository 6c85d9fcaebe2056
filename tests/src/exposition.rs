//! What an agent tells Prometheus: asked for over HTTP as Prometheus does, and read as OpenMetrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Names of labels and their values.
pub type Labels = BTreeMap<String, String>;

/// A family of metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Family {
    /// `counter`, `gauge`, `histogram`, `info`.
    pub kind: String,
    /// What it means.
    pub help: String,
}

/// All that was told at once.
#[derive(Debug, Clone, Default)]
pub struct Exposition {
    /// Families by name, as the TYPE lines have them: of counters without `_total`.
    pub families: BTreeMap<String, Family>,
    /// Samples: name, labels and value.
    pub samples: Vec<(String, Labels, f64)>,
}

impl Exposition {
    /// Asks.
    ///
    /// # Errors
    ///
    /// It is refused, or what comes is no OpenMetrics.
    pub async fn scrape(address: SocketAddr) -> Result<Self> {
        let (status, body) = request(address, "GET /metrics HTTP/1.1\r\nHost: agent\r\n\r\n").await?;
        if !status.starts_with("HTTP/1.1 200 ") {
            bail!("{status}: {body}");
        }
        Self::read(&body)
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// It is no OpenMetrics.
    pub fn read(text: &str) -> Result<Self> {
        let mut all = Self::default();
        let lines = text.strip_suffix("# EOF\n").context("no # EOF at the end")?;
        for line in lines.lines() {
            let wrong = || format!("no line of OpenMetrics: {line}");
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let mut word = || words.next().with_context(wrong);
                let (keyword, name, rest) = (word()?, word()?, word()?);
                let family = all.families.entry(name.to_owned()).or_default();
                match keyword {
                    "HELP" => rest.strip_suffix('.').unwrap_or(rest).clone_into(&mut family.help),
                    "TYPE" => rest.clone_into(&mut family.kind),
                    _ => bail!(wrong()),
                }
                continue;
            }
            let (left, value) = line.rsplit_once(' ').with_context(wrong)?;
            let (name, labels) = left.split_once('{').map_or((left, ""), |(name, rest)| (name, rest));
            let labels = labels.strip_suffix('}').unwrap_or(labels);
            let labels = labels_of(labels).with_context(wrong)?;
            all.samples.push((name.to_owned(), labels, value.parse().with_context(wrong)?));
        }
        Ok(all)
    }

    /// The sum of all samples of a name that have these labels; 0 where there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |of: &Labels| labels.iter().all(|(key, value)| of.get(*key).is_some_and(|have| have == value));
        // From +0: the sum of nothing is -0.
        self.samples.iter().filter(|(of, own, _)| of == name && fits(own)).fold(0.0, |all, (_, _, value)| all + value)
    }

    /// Whether there is a sample of this name.
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|(of, ..)| of == name)
    }

    /// The labels that samples of a family have, without those of the format itself (`le`, `quantile`).
    pub fn labels(&self, family: &str) -> BTreeSet<String> {
        let own = self.samples.iter().filter(|(name, ..)| self.family(name) == Some(family));
        own.flat_map(|(_, labels, _)| labels.keys().cloned()).filter(|label| label != "le").collect()
    }

    /// The family of a sample's name.
    pub fn family(&self, sample: &str) -> Option<&str> {
        let suffixes = ["", "_total", "_bucket", "_sum", "_count", "_info", "_created"];
        let mut stems = suffixes.iter().filter_map(|suffix| sample.strip_suffix(suffix));
        stems.find_map(|stem| self.families.get_key_value(stem)).map(|(name, _)| name.as_str())
    }
}

/// Sends this, and returns the first line and the body of what comes until the connection is closed.
///
/// # Errors
///
/// The connection fails, or what comes is no HTTP.
pub async fn request(address: SocketAddr, text: &str) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(text.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {answer:?}"))?;
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}

/// `a="1",b="2"`. No value of ours has an escape in it but for a quotation mark or a backslash.
fn labels_of(text: &str) -> Result<Labels> {
    let (mut labels, mut rest) = (Labels::new(), text);
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").context("no value")?;
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (at, character) in after.char_indices() {
            match character {
                _ if escaped => (value.push(character), escaped = false).0,
                '\\' => escaped = true,
                '"' => {
                    end = Some(at);
                    break;
                }
                _ => value.push(character),
            }
        }
        rest = &after[end.context("no end of a value")? + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
        labels.insert(name.to_owned(), value);
    }
    Ok(labels)
}
