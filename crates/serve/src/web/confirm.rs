//! The second look: what is about to be done, in words, before it is done.

use askama::Template;

use super::{Frame, Words};

#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct ConfirmPage {
    pub(super) w: Words,
    pub(super) frame: Frame,
    pub(super) title: String,
    pub(super) lead: String,
    /// Label and value, as the person gave them.
    pub(super) lines: Vec<(String, String)>,
    pub(super) warning: Option<String>,
    pub(super) button: String,
    /// Where the form goes.
    pub(super) action: String,
    /// Sent again as they came.
    pub(super) fields: Vec<(String, String)>,
}

/// How far the sender of a form has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Filled in: to be looked at again.
    Filled,
    /// Looked at again and meant.
    Confirmed,
    /// Back to the form.
    Edit,
}

impl Step {
    pub(super) fn of(fields: &[(String, String)]) -> Step {
        match super::field(fields, "step") {
            "confirm" => Step::Confirmed,
            "edit" => Step::Edit,
            _ => Step::Filled,
        }
    }
}

/// A form's fields without the step.
pub(super) fn carried(fields: &[(String, String)]) -> Vec<(String, String)> {
    fields.iter().filter(|(name, _)| name != "step").cloned().collect()
}
