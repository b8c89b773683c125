//! The page's own words (Fluent, compiled in) and how numbers and times are written.
//!
//! Words about features, classes and warnings are not here: they come from the study.

use std::sync::LazyLock;

use clinical::{Language, wording::decimal};
use fluent_bundle::{FluentArgs, FluentResource, concurrent::FluentBundle};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use unic_langid::LanguageIdentifier;

type Bundle = FluentBundle<FluentResource>;

/// The page's messages, the model card's, those of reviews and the cycle, and monitoring's.
const SOURCES_ES: [&str; 4] = [
    include_str!("../../i18n/es.ftl"),
    include_str!("../../i18n/card.es.ftl"),
    include_str!("../../i18n/cycle.es.ftl"),
    include_str!("../../i18n/monitor.es.ftl"),
];
const SOURCES_EN: [&str; 4] = [
    include_str!("../../i18n/en.ftl"),
    include_str!("../../i18n/card.en.ftl"),
    include_str!("../../i18n/cycle.en.ftl"),
    include_str!("../../i18n/monitor.en.ftl"),
];

static ES: LazyLock<Bundle> = LazyLock::new(|| bundle(&SOURCES_ES, Language::Es));
static EN: LazyLock<Bundle> = LazyLock::new(|| bundle(&SOURCES_EN, Language::En));

fn bundle(sources: &[&str], language: Language) -> Bundle {
    let mut bundle =
        Bundle::new_concurrent(vec![language.tag().parse::<LanguageIdentifier>().unwrap_or_default()]);
    // Marks around inserted values would be copied into clinicians' notes.
    bundle.set_use_isolating(false);
    for source in sources {
        // A file with an error keeps its good messages; a test reads every one of them.
        let resource = FluentResource::try_new((*source).to_owned()).unwrap_or_else(|(good, _)| good);
        bundle.add_resource_overriding(resource);
    }
    bundle
}

/// The words of one language.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words(pub(crate) Language);

impl Words {
    pub(crate) fn tag(self) -> &'static str {
        self.0.tag()
    }

    pub(crate) fn t(self, key: &str) -> String {
        self.format(key, None)
    }

    pub(crate) fn with(self, key: &str, name: &str, value: &str) -> String {
        self.args(key, &[(name, value)])
    }

    pub(crate) fn with2(self, key: &str, name: &str, value: &str, other: &str, second: &str) -> String {
        self.args(key, &[(name, value), (other, second)])
    }

    pub(crate) fn args(self, key: &str, values: &[(&str, &str)]) -> String {
        let mut args = FluentArgs::with_capacity(values.len());
        for (name, value) in values {
            args.set(*name, *value);
        }
        self.format(key, Some(&args))
    }

    /// A message whose form depends on a count, `$n`.
    pub(crate) fn count(self, key: &str, n: impl TryInto<u32>) -> String {
        let mut args = FluentArgs::with_capacity(1);
        args.set("n", n.try_into().unwrap_or(u32::MAX));
        self.format(key, Some(&args))
    }

    /// Whether there is such a message.
    pub(crate) fn knows(self, key: &str) -> bool {
        self.bundle().has_message(key)
    }

    fn bundle(self) -> &'static Bundle {
        match self.0 {
            Language::Es => &ES,
            Language::En => &EN,
        }
    }

    fn format(self, key: &str, args: Option<&FluentArgs<'_>>) -> String {
        let bundle = self.bundle();
        let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else {
            return key.to_owned();
        };
        bundle.format_pattern(pattern, args, &mut Vec::new()).into_owned()
    }

    /// A number with the language's decimal sign.
    pub(crate) fn number(self, value: f64, decimals: usize) -> String {
        decimal(value, decimals, self.0).to_string()
    }

    /// A probability in per cent: `78 %` in Spanish (with a no-break space), `78%` in English.
    pub(crate) fn percent(self, probability: f64, decimals: usize) -> String {
        self.with_sign(&self.number(probability * 100.0, decimals))
    }

    /// A probability as one reads it: whole per cent, and never 0 or 100 for what is neither.
    pub(crate) fn rounded_percent(self, probability: f64) -> String {
        match probability * 100.0 {
            p if p > 0.0 && p < 0.5 => self.with_sign("<1"),
            p if p < 100.0 && p > 99.5 => self.with_sign(">99"),
            p => self.with_sign(&self.number(p, 0)),
        }
    }

    fn with_sign(self, number: &str) -> String {
        match self.0 {
            Language::Es => format!("{number}\u{a0}%"),
            Language::En => format!("{number}%"),
        }
    }

    /// A difference in percentage points, with its sign.
    pub(crate) fn points(self, difference: f64) -> String {
        let text = self.number((difference * 100.0).abs(), 1);
        let zero = text.bytes().all(|byte| !byte.is_ascii_digit() || byte == b'0');
        match (zero, difference > 0.0) {
            (true, _) => text,
            (false, true) => format!("+{text}"),
            (false, false) => format!("\u{2212}{text}"),
        }
    }

    /// `22 nov 2026` from RFC 3339; the text itself where it is none.
    pub(crate) fn date(self, rfc3339: &str) -> String {
        OffsetDateTime::parse(rfc3339, &Rfc3339).map_or_else(|_| rfc3339.to_owned(), |at| self.day(at))
    }

    /// `22 nov 2026, 10:42 UTC`.
    pub(crate) fn moment(self, rfc3339: &str) -> String {
        OffsetDateTime::parse(rfc3339, &Rfc3339).map_or_else(
            |_| rfc3339.to_owned(),
            |at| format!("{}, {:02}:{:02} UTC", self.day(at), at.hour(), at.minute()),
        )
    }

    fn day(self, at: OffsetDateTime) -> String {
        let months = match self.0 {
            Language::Es => {
                ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"]
            }
            Language::En => {
                ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
            }
        };
        let month = months.get(usize::from(u8::from(at.month())) - 1).unwrap_or(&"");
        format!("{} {month} {}", at.day(), at.year())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn keys(source: &str) -> BTreeSet<&str> {
        assert!(FluentResource::try_new(source.to_owned()).is_ok(), "a Fluent file has an error");
        let messages =
            source.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
        messages.filter_map(|line| line.split(" = ").next()).collect()
    }

    #[test]
    fn both_languages_hold_the_same_keys_and_arguments() {
        let arguments = |source: &str, key: &str| -> BTreeSet<String> {
            let start = source.find(&format!("\n{key} = ")).map_or(0, |at| at + 1);
            let end = source[start..].find("\n").map_or(source.len(), |at| start + at);
            source[start..end]
                .split("{ $")
                .skip(1)
                .filter_map(|part| Some(part.split(' ').next()?.to_owned()))
                .collect()
        };
        for (es, en) in SOURCES_ES.into_iter().zip(SOURCES_EN) {
            assert!(keys(es).len() > 50);
            assert_eq!(keys(es), keys(en));
            for key in keys(es) {
                assert_eq!(arguments(es, key), arguments(en, key), "{key}");
            }
        }
        let all = SOURCES_ES.map(keys);
        let together: BTreeSet<&str> = all.iter().flatten().copied().collect();
        let apart: usize = all.iter().map(BTreeSet::len).sum();
        assert_eq!(together.len(), apart, "one file would hide another's messages");
    }

    #[test]
    fn every_key_that_is_used_exists() {
        let mut used = 0;
        for folder in ["templates", "src/web", "src/web/monitor", "src/card"] {
            for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
                let path = file.unwrap().path();
                if path.is_dir() {
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                for call in ["t", "with", "with2", "args", "count"] {
                    for after in text.split(&format!("{}{call}(\"", '.')).skip(1) {
                        let key = after.split('"').next().unwrap();
                        assert!(Words(Language::Es).knows(key), "{key} in {}", path.display());
                        used += 1;
                    }
                }
            }
        }
        assert!(used > 90, "{used}");
    }

    #[test]
    fn counts_numbers_and_times_are_written_as_the_language_does() {
        let (es, en) = (Words(Language::Es), Words(Language::En));
        assert_eq!(es.count("errors-head", 1), "Revise 1 dato antes de clasificar");
        assert_eq!(en.count("errors-head", 3), "Check 3 values before classifying");
        assert_eq!(es.percent(0.1234, 1), "12,3\u{a0}%");
        assert_eq!(en.percent(0.1234, 1), "12.3%");
        assert_eq!(
            [0.0, 0.001, 0.5, 0.999, 1.0].map(|p| en.rounded_percent(p)),
            ["0%", "<1%", "50%", ">99%", "100%"]
        );
        assert_eq!(
            [0.271, -0.031, 0.0001, -0.0001].map(|p| es.points(p)),
            ["+27,1", "\u{2212}3,1", "0,0", "0,0"]
        );
        assert_eq!(es.moment("2026-11-22T10:02:00.5Z"), "22 nov 2026, 10:02 UTC");
        assert_eq!(en.date("2026-09-01T00:00:00Z"), "1 Sep 2026");
    }
}
