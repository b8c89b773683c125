//! Which words of a note are denied, a relative's, or only possible.

use std::ops::Range;

use super::cues::{self, Accent, Cue};
use super::{Reading, Section, Stance};

/// Words that a denial reaches (Chapman et al. 2001 used five; lists in Spanish notes are longer).
const WINDOW: usize = 6;

/// One word's scopes.
#[derive(Debug, Clone, Copy, Default)]
struct Scope {
    denied: bool,
    relative: bool,
    possible: bool,
}

impl Scope {
    fn stance(self) -> Stance {
        match (self.relative, self.possible, self.denied) {
            (true, _, true) => Stance::FamilyNegated,
            (true, _, false) => Stance::Family,
            (false, true, _) => Stance::Hypothetical,
            (false, false, true) => Stance::Negated,
            (false, false, false) => Stance::Affirmed,
        }
    }
}

impl Reading {
    /// The stance of every word. Words of a found term (`within`) are no cues: "Absent thumb" has
    /// one, "no social interaction" denies nothing.
    pub fn stances(&self, within: impl Fn(usize) -> bool) -> Vec<Stance> {
        let mut scopes = vec![Scope::default(); self.tokens().len()];
        for (scope, token) in scopes.iter_mut().zip(self.tokens()) {
            scope.relative = token.section == Section::Family;
            scope.possible = token.section == Section::Plan;
        }
        let mut from = 0;
        while let Some(first) = self.tokens().get(from) {
            let length = self.tokens().iter().skip(from).take_while(|token| token.sentence == first.sentence);
            let sentence = from..from + length.count();
            self.sentence(sentence.clone(), &within, &mut scopes);
            from = sentence.end;
        }
        scopes.into_iter().map(Scope::stance).collect()
    }

    fn sentence(&self, sentence: Range<usize>, within: &impl Fn(usize) -> bool, scopes: &mut [Scope]) {
        // A word of contrast starts afresh; what a backward cue denies goes no further back.
        let (mut fresh, mut denied_until) = (sentence.start, sentence.start);
        let (mut relative, mut possible) = (false, false);
        let mut at = sentence.start;
        while at < sentence.end {
            let cue = if within(at) { None } else { self.cue(at, &sentence) };
            let length = cue.map_or(1, |(_, length)| length);
            let behind = at + length;
            let forward = behind + WINDOW;
            match cue.map(|(cue, _)| cue) {
                Some(Cue::Deny) => denied_until = forward,
                Some(Cue::No) if behind < sentence.end => denied_until = forward,
                Some(Cue::DenyAround) if at == sentence.start => denied_until = forward,
                Some(Cue::DenyAround | Cue::No) => {
                    let back = at.saturating_sub(WINDOW).max(fresh);
                    scopes.iter_mut().take(at).skip(back).for_each(|scope| scope.denied = true);
                }
                Some(Cue::Contrast) => {
                    (fresh, denied_until) = (behind, at);
                    (relative, possible) = (false, false);
                }
                Some(Cue::Possible) => possible = true,
                Some(Cue::Relative) => {
                    let next = self.tokens().get(behind).filter(|_| behind < sentence.end);
                    relative = !next.is_some_and(|next| cues::tells(self.word(next)));
                }
                Some(Cue::Nothing) | None => {}
            }
            for (place, scope) in scopes.iter_mut().enumerate().take(behind).skip(at) {
                scope.denied |= cue.is_none() && place < denied_until;
                scope.relative |= relative;
                scope.possible |= possible;
            }
            at = behind;
        }
    }

    /// The longest cue that begins at a word, with its length.
    fn cue(&self, at: usize, sentence: &Range<usize>) -> Option<(Cue, usize)> {
        let tokens = self.tokens().get(at..sentence.end)?;
        let first = tokens.first()?;
        let (words, cue, _) = cues::beginning_with(self.word(first)).iter().find(|(words, _, accent)| {
            let accent = match accent {
                Accent::Any => true,
                Accent::With => first.accented,
                Accent::Without => !first.accented,
            };
            accent
                && words.len() <= tokens.len()
                && words.iter().zip(tokens).all(|(word, token)| *word == self.word(token))
        })?;
        Some((*cue, words.len()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The stance of the first word that reads `word`.
    fn stance(note: &str, word: &str) -> Stance {
        let reading = Reading::of(note);
        let at = reading.tokens().iter().position(|token| reading.word(token) == word).unwrap();
        reading.stances(|_| false)[at]
    }

    #[test]
    fn denials_reach_six_words_and_stop_at_the_sentence_or_a_contrast() {
        use Stance::{Affirmed, Negated};
        for (note, word, expected) in [
            ("No refiere fiebre", "fiebre", Negated),
            ("Niega fiebre, tos, disnea, vómitos, diarrea, cefalea, mareo", "cefalea", Negated),
            ("Niega fiebre, tos, disnea, vómitos, diarrea, cefalea, mareo", "mareo", Affirmed),
            ("Niega fiebre, tos, disnea, vómitos, diarrea, cefalea, ni mareo", "mareo", Negated),
            ("No tiene fiebre. Tos", "tos", Affirmed),
            ("No tiene fiebre pero sí tos", "tos", Affirmed),
            ("Sin embargo tiene fiebre", "fiebre", Affirmed),
            ("Sin fiebre", "fiebre", Negated),
            ("Se descarta infarto", "infarto", Negated),
            ("Infarto descartado", "infarto", Negated),
            ("Descartado infarto", "infarto", Negated),
            ("Fiebre: no. Tos: sí", "fiebre", Negated),
            ("Fiebre: no. Tos: sí", "tos", Affirmed),
            ("No solo fiebre", "fiebre", Affirmed),
            ("Denies chest pain, but has fever", "pain", Negated),
            ("Denies chest pain, but has fever", "fever", Affirmed),
            ("She was without edema", "edema", Negated),
            ("Negative for murmur", "murmur", Negated),
            ("Murphy negative", "murphy", Negated),
            ("Supple without adenopathy", "supple", Affirmed),
        ] {
            assert_eq!(stance(note, word), expected, "{note}: {word}");
        }
    }

    #[test]
    fn relatives_and_possibilities_are_kept_apart() {
        use Stance::{Affirmed, Family, FamilyNegated, Hypothetical, Negated};
        for (note, word, expected) in [
            ("Madre con diabetes", "diabetes", Family),
            ("Su madre refiere fiebre", "fiebre", Affirmed),
            ("Mother denies fever", "fever", Negated),
            ("Mamá con diabetes", "diabetes", Family),
            ("Cáncer de mama con metástasis", "metastasis", Affirmed),
            ("Antecedentes familiares: diabetes", "diabetes", Family),
            ("FAMILY HISTORY: No diabetes", "diabetes", FamilyNegated),
            ("Father had gout, but he has edema", "edema", Affirmed),
            ("Acudir si presenta fiebre", "fiebre", Hypothetical),
            ("Fiebre sí", "fiebre", Affirmed),
            ("Sí tiene tos", "tos", Affirmed),
            ("A descartar anemia", "anemia", Hypothetical),
            ("No se descarta anemia", "anemia", Hypothetical),
            ("Rule out sepsis", "sepsis", Hypothetical),
            ("PLAN: biopsia por hepatitis", "hepatitis", Hypothetical),
        ] {
            assert_eq!(stance(note, word), expected, "{note}: {word}");
        }
    }

    #[test]
    fn words_of_a_found_term_are_no_cues() {
        let reading = Reading::of("No social interaction, absent speech");
        let all = reading.stances(|_| true);
        assert!(all.iter().all(|stance| *stance == Stance::Affirmed));
        let without = reading.stances(|_| false);
        assert_eq!(without[1], Stance::Negated);
    }

    proptest! {
        #[test]
        fn every_word_of_any_text_has_a_stance(text in "([a-z]{1,9}|no|sin|pero|si|sí|madre|PLAN:|[.,:;!\n ]){0,80}") {
            let reading = Reading::of(&text);
            prop_assert_eq!(reading.stances(|_| false).len(), reading.tokens().len());
        }

        #[test]
        fn a_denial_never_leaves_its_sentence(words in proptest::collection::vec("[b-df-hj-m]{3,7}", 1..12)) {
            let text = format!("no {}. {}", words.join(" "), words.join(" "));
            let reading = Reading::of(&text);
            let stances = reading.stances(|_| false);
            for (token, stance) in reading.tokens().iter().zip(stances) {
                prop_assert!(token.sentence == 0 || stance == Stance::Affirmed);
            }
        }
    }
}
