//! What is wrong with a manifest, as a person reads it.

use std::fmt;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is sent to the agent.
    Error,
    /// Something of the manifest is not honoured.
    Warning,
}

/// Where a problem is, with the line itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line, or the part of it around the column.
    pub excerpt: String,
    /// Characters of the excerpt before the column.
    pub caret: usize,
}

/// One problem of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What it is: lower case, values in backticks.
    pub message: String,
    /// Where it is, when it is somewhere.
    pub spot: Option<Spot>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), spot: None, hint: None }
    }

    /// The same problem at a place.
    pub fn at(mut self, spot: Spot) -> Self {
        self.spot = Some(spot);
        self
    }

    /// Says what to do about it.
    pub fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {}", self.message)?;
        if let Some(spot) = &self.spot {
            let number = spot.line.to_string();
            let margin = " ".repeat(number.len());
            write!(f, "\n{margin}--> {}:{}:{}", spot.file, spot.line, spot.column)?;
            write!(f, "\n{margin} |\n{number} | {}", spot.excerpt)?;
            write!(f, "\n{margin} | {}^", " ".repeat(spot.caret))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// The manifest is invalid: nothing of it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Every problem found, warnings included, by place.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
