//! Patients by chance, and the AHA categories once more, from the contract's table.

use serde_json::{Value, json};

/// Splitmix64 (Steele et al. 2014): every run draws the same.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    pub(crate) fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

/// Any patient that the default study accepts, uniformly over its ranges.
pub(crate) fn random_patient(dice: &mut Dice) -> Value {
    let systolic = dice.between(50, 280);
    json!({
        "age_years": dice.between(0, 120),
        "gender": dice.one_of(&["female", "male"]),
        "blood_type": dice.one_of(&["A", "B", "AB", "O"]),
        "systolic_mmhg": systolic,
        "diastolic_mmhg": dice.between(30, 180.min(systolic - 1)),
        "exercise_days_per_month": dice.between(0, 31),
    })
}

/// The AHA category, first line that matches wins.
pub(crate) fn aha_category(systolic: i64, diastolic: i64) -> &'static str {
    match (systolic, diastolic) {
        (s, d) if s > 180 || d > 120 => "crisis",
        (s, d) if s >= 140 || d >= 90 => "stage_2",
        (130..=139, _) | (_, 80..=89) => "stage_1",
        (120..=129, _) => "elevated",
        _ => "normal",
    }
}
