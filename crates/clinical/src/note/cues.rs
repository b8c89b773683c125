//! The words that turn what a sentence says: denials, contrasts, relatives, possibilities, headings.
//! Spanish and English together; spelled as [`super::Reading`] folds them.
//!
//! The method is NegEx with its extension ConText (Chapman et al. 2001; Harkema et al. 2009): a cue
//! turns the words behind (or before) it until the sentence ends or a word of contrast stands.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Section;

/// What a cue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    /// Denies what follows.
    Deny,
    /// Denies what follows where it opens its sentence, else what stands before it.
    DenyAround,
    /// `no`: denies what follows, or what stands before it where nothing follows.
    No,
    /// Ends every scope.
    Contrast,
    /// Looks like a cue and is none.
    Nothing,
    /// What follows may come, or is to be ruled out.
    Possible,
    /// What follows is a relative's, unless the relative only tells it.
    Relative,
}

/// Whether a cue's word must have, or must not have, its accent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accent {
    Any,
    /// `mamá`, not `mama`.
    With,
    /// `si`, not `sí`.
    Without,
}

const DENY: &[&str] = &[
    "niega",
    "niegan",
    "negando",
    "nego",
    "sin",
    "descarta",
    "descartan",
    "descartandose",
    "tampoco",
    "ni",
    "ausencia de",
    "carece de",
    "libre de",
    "nunca",
    "jamas",
    "negativo para",
    "negativa para",
    "negativos para",
    "exento de",
    "desaparicion de",
    "not",
    "denies",
    "denied",
    "denying",
    "without",
    "negative for",
    "absence of",
    "lack of",
    "free of",
    "never",
    "nor",
    "neither",
    "none of",
    "ruled out for",
    "rules out",
    "resolution of",
    "fails to reveal",
    "cannot",
];
const AROUND: &[&str] = &[
    "negativo",
    "negativa",
    "negativos",
    "negativas",
    "ausente",
    "ausentes",
    "descartado",
    "descartada",
    "descartados",
    "descartadas",
    "absent",
    "negative",
    "ruled out",
    "unlikely",
    "improbable",
];
const CONTRAST: &[&str] = &[
    "pero",
    "sino",
    "aunque",
    "salvo",
    "excepto",
    "sin embargo",
    "no obstante",
    "si bien",
    "a excepcion de",
    "con excepcion de",
    "aparte de",
    "ademas de",
    "but",
    "however",
    "although",
    "though",
    "except",
    "apart from",
    "aside from",
    "other than",
    "nevertheless",
    "whereas",
    "mientras que",
];
const NOTHING: &[&str] = &[
    "no solo",
    "no solamente",
    "sin duda",
    "sin cambios",
    "no cambios",
    "not only",
    "without doubt",
    "no doubt",
    "no change",
    "no increase",
    "no further",
    "not certain",
    "not necessarily",
    "sin dificultad",
    "sin problemas",
    "without difficulty",
    "not ruled out",
    "cannot be ruled out",
    "can not be ruled out",
];
const POSSIBLE: &[&str] = &[
    "en caso de",
    "por si",
    "a descartar",
    "descartar",
    "riesgo de",
    "posible",
    "posibles",
    "posiblemente",
    "probable",
    "probables",
    "sospecha de",
    "no se descarta",
    "no puede descartarse",
    "no se puede descartar",
    "if",
    "in case of",
    "should",
    "rule out",
    "r o",
    "risk of",
    "risk for",
    "possible",
    "possibly",
    "suspected",
    "suspicion of",
    "concern for",
    "cannot rule out",
    "return for",
    "watch for",
    "vigilar",
];
const RELATIVES: &[&str] = &[
    "madre",
    "padre",
    "padres",
    "hermano",
    "hermana",
    "hermanos",
    "hermanas",
    "abuelo",
    "abuela",
    "abuelos",
    "abuelas",
    "tio",
    "tia",
    "tios",
    "tias",
    "primo",
    "prima",
    "primos",
    "primas",
    "sobrino",
    "sobrina",
    "familiar",
    "familiares",
    "familia",
    "materno",
    "materna",
    "maternos",
    "paterno",
    "paterna",
    "paternos",
    "mother",
    "father",
    "parents",
    "brother",
    "sister",
    "brothers",
    "sisters",
    "sibling",
    "siblings",
    "grandmother",
    "grandfather",
    "grandparents",
    "aunt",
    "uncle",
    "aunts",
    "uncles",
    "cousin",
    "cousins",
    "nephew",
    "niece",
    "family history of",
    "family history",
    "maternal",
    "paternal",
    "relatives",
];
/// Behind a relative: the relative tells, the patient has it.
const TELLING: &[&str] = &[
    "refiere",
    "refieren",
    "comenta",
    "comentan",
    "dice",
    "dicen",
    "cuenta",
    "cuentan",
    "relata",
    "relatan",
    "trae",
    "traen",
    "nota",
    "notan",
    "observa",
    "observan",
    "acude",
    "consulta",
    "indica",
    "niega",
    "niegan",
    "reports",
    "report",
    "reported",
    "states",
    "state",
    "stated",
    "says",
    "said",
    "notes",
    "noted",
    "noticed",
    "describes",
    "brings",
    "brought",
    "denies",
    "deny",
    "denied",
    "tells",
    "told",
    "gives",
];
/// Words that a point shortens.
pub(super) const ABBREVIATIONS: &[&str] =
    &["dr", "dra", "sr", "sra", "vs", "aprox", "ej", "mr", "mrs", "ms", "approx", "eg", "ie"];

const FAMILY_HEADINGS: &[&str] = &[
    "antecedentes familiares",
    "antecedentes familiares de interes",
    "antecedentes heredofamiliares",
    "antecedentes heredo familiares",
    "historia familiar",
    "af",
    "ahf",
    "family history",
    "family hx",
    "fh",
    "fhx",
    "family medical history",
];
const PLAN_HEADINGS: &[&str] = &[
    "plan",
    "plan de estudio",
    "plan terapeutico",
    "plan de tratamiento",
    "plan y tratamiento",
    "recomendaciones",
    "indicaciones",
    "instrucciones",
    "recommendations",
    "instructions",
    "discharge instructions",
    "follow up",
    "followup",
    "seguimiento",
    "diagnostico diferencial",
    "differential diagnosis",
    "differential",
];
const PATIENT_HEADINGS: &[&str] = &[
    "antecedentes",
    "antecedentes personales",
    "antecedentes patologicos",
    "ap",
    "app",
    "motivo de consulta",
    "mc",
    "enfermedad actual",
    "ea",
    "historia actual",
    "anamnesis",
    "exploracion",
    "exploracion fisica",
    "ef",
    "examen fisico",
    "exploraciones complementarias",
    "pruebas complementarias",
    "analitica",
    "laboratorio",
    "juicio clinico",
    "jc",
    "diagnostico",
    "diagnosticos",
    "impresion diagnostica",
    "idx",
    "evolucion",
    "medicacion",
    "medicacion actual",
    "tratamiento",
    "tratamiento actual",
    "alergias",
    "habitos",
    "sintomas",
    "hallazgos",
    "past medical history",
    "pmh",
    "past surgical history",
    "psh",
    "medical history",
    "surgical history",
    "social history",
    "history of present illness",
    "hpi",
    "chief complaint",
    "cc",
    "review of systems",
    "ros",
    "physical examination",
    "physical exam",
    "exam",
    "assessment",
    "impression",
    "diagnosis",
    "preoperative diagnosis",
    "postoperative diagnosis",
    "medications",
    "current medications",
    "allergies",
    "laboratory data",
    "labs",
    "subjective",
    "objective",
    "findings",
    "clinical findings",
    "procedure",
    "hospital course",
    "present illness",
    "history",
];

/// The section that a heading opens.
pub(super) fn section(heading: &str) -> Option<Section> {
    let known = [
        (FAMILY_HEADINGS, Section::Family),
        (PLAN_HEADINGS, Section::Plan),
        (PATIENT_HEADINGS, Section::Patient),
    ];
    known.into_iter().find(|(headings, _)| headings.contains(&heading)).map(|(_, section)| section)
}

pub(super) fn tells(word: &str) -> bool {
    TELLING.contains(&word)
}

/// A cue's words with what they do.
pub(super) type Phrase = (Vec<&'static str>, Cue, Accent);

static PHRASES: LazyLock<HashMap<&'static str, Vec<Phrase>>> = LazyLock::new(|| {
    let lists = [
        (NOTHING, Cue::Nothing),
        (DENY, Cue::Deny),
        (AROUND, Cue::DenyAround),
        (CONTRAST, Cue::Contrast),
        (POSSIBLE, Cue::Possible),
        (RELATIVES, Cue::Relative),
    ];
    let plain = lists
        .into_iter()
        .flat_map(|(phrases, cue)| phrases.iter().map(move |phrase| (*phrase, cue, Accent::Any)));
    let accents = [
        ("no", Cue::No, Accent::Any),
        ("si", Cue::Possible, Accent::Without),
        ("mama", Cue::Relative, Accent::With),
        ("papa", Cue::Relative, Accent::With),
    ];
    let mut by_first: HashMap<&'static str, Vec<Phrase>> = HashMap::new();
    for (phrase, cue, accent) in plain.chain(accents) {
        let words: Vec<&'static str> = phrase.split(' ').collect();
        if let Some(&first) = words.first() {
            by_first.entry(first).or_default().push((words, cue, accent));
        }
    }
    for phrases in by_first.values_mut() {
        phrases.sort_by_key(|(words, ..)| std::cmp::Reverse(words.len()));
    }
    by_first
});

/// The phrases that begin with a word, longest first.
pub(super) fn beginning_with(word: &str) -> &'static [Phrase] {
    PHRASES.get(word).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::super::Reading;
    use super::*;

    #[test]
    fn cues_are_spelled_as_notes_are_read() {
        let lists = [DENY, AROUND, CONTRAST, NOTHING, POSSIBLE, RELATIVES, TELLING, ABBREVIATIONS];
        let headings = [FAMILY_HEADINGS, PLAN_HEADINGS, PATIENT_HEADINGS];
        for phrase in lists.into_iter().chain(headings).flatten() {
            let reading = Reading::of(phrase);
            let words: Vec<&str> = reading.tokens().iter().map(|token| reading.word(token)).collect();
            assert_eq!(words.join(" "), *phrase);
        }
    }
}
