//! What a training process is started for.

use crate::{Error, Result};

/// What a training process does; [`Role::arguments`] and [`Role::parse`] are each other's inverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Fits a job alone. No arguments.
    Alone,
    /// Fits its part of a job together with others: `member HOST:PORT RANK OF`.
    Member {
        /// Where the processes meet.
        tracker: String,
        /// Number of this process, from 0.
        rank: usize,
        /// Number of processes.
        of: usize,
    },
    /// Is the place where processes meet: `tracker HOST WORKERS`. Prints `HOST:PORT`, and ends when all
    /// have left or its standard input is closed.
    Tracker { host: String, workers: usize },
}

impl Role {
    /// The arguments that say so.
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Role::Alone => Vec::new(),
            Role::Member { tracker, rank, of } => {
                vec!["member".into(), tracker.clone(), rank.to_string(), of.to_string()]
            }
            Role::Tracker { host, workers } => vec!["tracker".into(), host.clone(), workers.to_string()],
        }
    }

    /// # Errors
    /// Says what the arguments have to be.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let role = match words.as_slice() {
            [] => Some(Role::Alone),
            ["member", tracker, rank, of] => rank
                .parse()
                .ok()
                .zip(of.parse().ok())
                .map(|(rank, of)| Role::Member { tracker: (*tracker).to_owned(), rank, of }),
            ["tracker", host, workers] => {
                workers.parse().ok().map(|workers| Role::Tracker { host: (*host).to_owned(), workers })
            }
            _ => None,
        };
        role.ok_or_else(|| {
            Error::Invalid(
                "a training process takes no arguments, `member HOST:PORT RANK OF` or `tracker HOST WORKERS`"
                    .into(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_come_back_from_their_arguments() {
        for role in [
            Role::Alone,
            Role::Member { tracker: "10.0.0.5:4000".into(), rank: 1, of: 3 },
            Role::Tracker { host: "127.0.0.1".into(), workers: 3 },
        ] {
            assert_eq!(Role::parse(&role.arguments()).unwrap(), role);
        }
        for wrong in ["member x 1", "tracker", "tracker h many", "alone"] {
            let words: Vec<String> = wrong.split(' ').map(str::to_owned).collect();
            assert!(Role::parse(&words).unwrap_err().to_string().contains("HOST:PORT"));
        }
    }
}
