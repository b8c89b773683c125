//! What a model card says that no figure can: who made the model, for whom, and what it is not for.

use serde::{Deserialize, Serialize};

use crate::Text;

/// The `[card]` stanza. A card says of every text that is missing that the study does not state it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Card {
    /// Who made the model, and who answers for it.
    pub developer: Option<Text>,
    /// How to reach them.
    pub contact: Option<Text>,
    /// Who paid for it, and any conflict of interest.
    pub funding: Option<Text>,
    pub conflicts: Option<Text>,
    /// What the answer is to be used for, on whom, by whom, and with which part in their decision.
    pub intended_use: Option<Text>,
    pub population: Option<Text>,
    pub users: Option<Text>,
    pub role: Option<Text>,
    /// Tasks, situations and people that it is not for.
    pub out_of_scope: Option<Text>,
    /// Known risks and limitations.
    pub risks: Option<Text>,
    /// Where the cases come from, which people are among them, and how they fit the place of use.
    pub setting: Option<Text>,
    /// How and by whom the outcome was confirmed.
    pub outcome: Option<Text>,
    /// Differences in health between groups of people that are known.
    pub inequalities: Option<Text>,
    /// How fairness is sought and bias reduced.
    pub fairness: Option<Text>,
    /// Where else the model was tested, by whom, on whom and how.
    pub external_validation: Option<Text>,
    /// Evaluations of what its use did to patients.
    pub effect: Option<Text>,
    /// How and how often it is watched, and how it is updated.
    pub monitoring: Option<Text>,
    pub updates: Option<Text>,
    /// Approval by an ethics committee, consent.
    pub ethics: Option<Text>,
    /// Protocol and registration.
    pub protocol: Option<Text>,
    /// Who may have the data and the code.
    pub access: Option<Text>,
    /// Part that patients and the public had.
    pub involvement: Option<Text>,
}
