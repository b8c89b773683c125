//! A figure: a value with its interval and the number it rests on, or the reason why there is none.

use serde::{Deserialize, Serialize};

/// A value with a 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    /// Lower end of the interval; never above `value`.
    pub low: f64,
    /// Upper end of the interval; never below `value`.
    pub high: f64,
    /// Number of patients (or alarms) that the value is a statement about.
    pub n: u64,
}

/// A number with uncertainty, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Figure {
    Measured(Estimate),
    Undefined {
        #[serde(rename = "undefined")]
        because: String,
    },
}

impl Figure {
    /// A figure without number.
    pub fn undefined(because: impl Into<String>) -> Self {
        Self::Undefined { because: because.into() }
    }

    /// The value and interval, where there are any.
    #[must_use]
    pub fn estimate(&self) -> Option<&Estimate> {
        match self {
            Self::Measured(estimate) => Some(estimate),
            Self::Undefined { .. } => None,
        }
    }

    /// The value alone.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        self.estimate().map(|e| e.value)
    }

    /// The same figure in other units, such as per 1,000. `by` must be positive.
    pub(crate) fn scaled(self, by: f64) -> Self {
        match self {
            Self::Measured(e) => {
                Self::Measured(Estimate { value: e.value * by, low: e.low * by, high: e.high * by, n: e.n })
            }
            undefined @ Self::Undefined { .. } => undefined,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_tells_a_number_from_a_reason() {
        let measured = Figure::Measured(Estimate { value: 0.5, low: 0.25, high: 0.75, n: 8 });
        let undefined = Figure::undefined("no orphan patient");
        let text = serde_json::to_string(&[&measured, &undefined]).unwrap();
        assert_eq!(text, r#"[{"value":0.5,"low":0.25,"high":0.75,"n":8},{"undefined":"no orphan patient"}]"#);
        assert_eq!(serde_json::from_str::<Vec<Figure>>(&text).unwrap(), [measured, undefined]);
    }
}
