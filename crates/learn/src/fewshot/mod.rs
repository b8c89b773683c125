//! Orphan diseases by a few cases each: an embedding, one prototype per disease, and what follows.
//!
//! A disease with twenty cases gives a classifier little to learn from, one with a single case nothing.
//! So a network is trained on *episodes*, small tasks of telling diseases apart by a few cases, until
//! cases of one disease lie close together, those of diseases that it has never seen included. A
//! disease is then a point, its *prototype*, and one confirmed case more moves that point at once; no
//! model is trained again (Snell, Swersky and Zemel 2017).
//!
//! ```text
//! at training    DiseaseCounts ─> Embedding::train ─> embed(every possible patient): keep the points
//!                       └──────────> Prototypes::fit ─> calibrate(held-out cases)
//! a new case     Prototypes::add | correct | withdraw
//! then           Prototypes::margins ─> rarity  r(x)    to be fused with the gate
//!                                       novelty r_j(x)  NoveltyBudget::fit ─> NoveltyAlarm::raised
//!                                       distance        Prototypes::p_value: none of these
//!                                       posterior       Prototypes::nearest
//! ```
//!
//! Embedding all 154,880 possible patients of the default study and measuring them against thirty
//! prototypes takes well under 0.3 CPU seconds, so a table can follow every case.
//!
//! In cross-fitting train one embedding per fold on the other folds' counts, fit its prototypes on
//! the same, and take the fold's margins from it. Points of different embeddings never meet: everything
//! made from an embedding carries its digest, and a foreign one is refused.

mod counts;
mod embedding;
mod episode;
mod half;
mod margins;
mod network;
mod novelty;
mod open_set;
mod prototype;
mod prototypes;
mod prototypes_file;
mod ruler;
mod sharpness;
mod tensors;
mod training;

pub use counts::{Disease, DiseaseCounts};
pub use embedding::{Embedded, Embedding};
pub use half::{Confirmed, FewShotPlan, Half, Heard, NEAREST, Network, Patients, Posterior};
pub use margins::{Margins, Nearest};
pub use network::DIM;
pub use novelty::{NoveltyAlarm, NoveltyBudget, Population};
pub use open_set::OpenSet;
pub use prototypes::{Held, Moved, Prototypes};
pub use training::Episodes;
