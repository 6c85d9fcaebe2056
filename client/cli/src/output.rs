//! What a person or a program reads: tables or documents on the standard output, the rest on the standard error.

use std::io::{self, IsTerminal, Write};

use anstream::AutoStream;
use podwire_proto::v1;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::{Serialize, Serializer};

use crate::{arguments::Format, exit::Failure, manifest::Problem, table};

/// Where the answer goes.
pub(crate) struct Output {
    format: Format,
    out: AutoStream<io::Stdout>,
    err: AutoStream<io::Stderr>,
    documents: usize,
}

impl Output {
    /// The standard streams; colour only where they are terminals and nobody forbids it.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, out: anstream::stdout(), err: anstream::stderr(), documents: 0 }
    }

    /// Whether tables are wanted.
    pub(crate) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Columns of the terminal on the standard output; where that is none, `COLUMNS` of the environment. Without both lines are as
    /// long as what they say, so that `grep` finds it whole.
    pub(crate) fn width() -> Option<u16> {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0);
        }
        terminal_size::terminal_size_of(stdout).map(|(width, _)| width.0)
    }

    /// Writes text for a person.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        let text = table::paint(text.trim_end());
        writeln!(self.out, "{text}")?;
        Ok(self.out.flush()?)
    }

    /// Writes a message of package `podwire.v1` as a JSON or YAML document, with the field names of the contract.
    pub(crate) fn document(&mut self, name: &'static str, message: &impl prost::Message) -> Result<(), Failure> {
        let text = render(self.format, name, message)?;
        if self.format == Format::Yaml && self.documents > 0 {
            writeln!(self.out, "---")?;
        }
        self.documents += 1;
        writeln!(self.out, "{}", text.trim_end())?;
        Ok(self.out.flush()?)
    }

    /// Writes something that the contract has no message for, as JSON or YAML.
    pub(crate) fn value(&mut self, what: &'static str, value: &impl Serialize) -> Result<(), Failure> {
        let text = if self.format == Format::Yaml {
            serde_saphyr::to_string(value).map_err(|error| failure(what, &error))?
        } else {
            serde_json::to_string_pretty(value).map_err(|error| failure(what, &error))?
        };
        writeln!(self.out, "{}", text.trim_end())?;
        Ok(self.out.flush()?)
    }

    /// Writes one event of a stream: a line of JSON, or a YAML document.
    pub(crate) fn event(&mut self, name: &'static str, message: &impl prost::Message) -> Result<(), Failure> {
        if self.format != Format::Json {
            return self.document(name, message);
        }
        let document = Document::new(name, message)?;
        let text = serde_json::to_string(&document).map_err(|error| failure(name, &error))?;
        writeln!(self.out, "{text}")?;
        Ok(self.out.flush()?)
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes)?;
        Ok(self.out.flush()?)
    }

    /// Says something beside the answer. That nobody hears it is no failure.
    pub(crate) fn note(&mut self, text: &str) {
        drop(writeln!(self.err, "{}", table::paint(text)));
    }

    /// Warns of something.
    pub(crate) fn warning(&mut self, text: &str) {
        drop(writeln!(self.err, "\x1b[1;33mwarning\x1b[0m: {}", table::paint(text)));
    }

    /// Writes a problem of a manifest.
    pub(crate) fn problem(&mut self, problem: &Problem) {
        let text = table::paint(&problem.to_string());
        let text = text
            .strip_prefix("warning")
            .map(|rest| format!("\x1b[1;33mwarning\x1b[0m{rest}"))
            .or_else(|| text.strip_prefix("error").map(|rest| format!("\x1b[1;31merror\x1b[0m{rest}")));
        drop(writeln!(self.err, "{}\n", text.unwrap_or_default()));
    }

    /// Writes why the command failed, with the causes.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        if let Failure::Manifest(invalid) = failure {
            invalid.problems.iter().for_each(|problem| self.problem(problem));
            drop(writeln!(self.err, "nothing was sent to the agent"));
            return;
        }
        // An answer, not an error.
        if matches!(failure, Failure::Declined | Failure::Ailing(_)) {
            self.note(&failure.to_string());
            return;
        }
        let mut text = failure.to_string();
        let mut cause = std::error::Error::source(failure);
        while let Some(error) = cause {
            let words = error.to_string();
            if !text.contains(&words) {
                // Causes belong to the message, before the hint.
                let at = text.find("\nhint: ").unwrap_or(text.len());
                text.insert_str(at, &format!(": {words}"));
            }
            cause = error.source();
        }
        if matches!(failure, Failure::Call(error) if error.is_fenced() && error.hint().is_none()) {
            text.push_str("\nhint: `--generation N` speaks for the scheduler, `--force` goes over its head");
        }
        drop(writeln!(self.err, "\x1b[1;31merror\x1b[0m: {}", table::paint(&text)));
    }

    /// The standard error as a plain stream.
    pub(crate) fn err(&mut self) -> &mut impl Write {
        &mut self.err
    }
}

/// A message as a document.
pub(crate) fn render(format: Format, name: &'static str, message: &impl prost::Message) -> Result<String, Failure> {
    let document = Document::new(name, message)?;
    if format == Format::Yaml {
        serde_saphyr::to_string(&document).map_err(|error| failure(name, &error))
    } else {
        serde_json::to_string_pretty(&document).map_err(|error| failure(name, &error))
    }
}

/// A message with the field names of the contract, in their order.
struct Document(DynamicMessage);

impl Document {
    fn new(name: &'static str, message: &impl prost::Message) -> Result<Self, Failure> {
        let pool = DescriptorPool::decode(v1::FILE_DESCRIPTOR_SET).map_err(|error| failure(name, &error))?;
        let Some(descriptor) = pool.get_message_by_name(&format!("podwire.v1.{name}")) else {
            return Err(Failure::Document { message: name, problem: "the contract does not have it".to_owned() });
        };
        let bytes = message.encode_to_vec();
        DynamicMessage::decode(descriptor, bytes.as_slice()).map(Self).map_err(|error| failure(name, &error))
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_with_options(serializer, &SerializeOptions::new().use_proto_field_name(true))
    }
}

fn failure(message: &'static str, error: &dyn std::error::Error) -> Failure {
    Failure::Document { message, problem: error.to_string() }
}
