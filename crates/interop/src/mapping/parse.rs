//! Reads a mapping file.

use std::collections::HashMap;

use toml::de::DeValue;

use super::{
    ColumnRef, Condition, FhirRules, From, Mapping, OutcomeRule, Skip, ValueRule,
    condition::Test,
    fhir,
    toml_walk::{Item, Section, document, error, scalar, scalars, string, texts},
    value::Convert,
};
use crate::MappingError;

type Result<T> = std::result::Result<T, MappingError>;

/// Fields that are text; the others are the study's inputs and times.
const TEXT_FIELDS: [&str; 4] = ["case_id", "patient_id", "source", "disease_code"];
const OUTCOME_FIELDS: [&str; 3] = ["severity", "rarity", "disease_code"];

pub(super) fn mapping(text: &str) -> Result<Mapping> {
    let document = document(text)?;
    let mut root = Section::new(text, document.get_ref(), "the mapping".to_owned(), 1);
    let mut columns = Columns::default();
    let delimiter = match root.get("file") {
        Some(item) => file(root.inner(item, "[file]".to_owned())?)?,
        None => b',',
    };
    let fields = match root.get("columns") {
        Some(item) => fields(&root.inner(item, "[columns]".to_owned())?, &mut columns)?,
        None => HashMap::new(),
    };
    let mut skips = Vec::new();
    for section in root.list("skip")? {
        skips.push(skip(section, &mut columns)?);
    }
    let outcomes = outcomes(root.list("outcome")?, &mut columns)?;
    let mapped = OUTCOME_FIELDS.iter().find_map(|name| fields.get(*name).map(|rule| (name, rule)));
    if let (false, Some((name, rule))) = (outcomes.is_empty(), mapped) {
        return Err(error(
            rule.line,
            format!("`columns.{name}` and `[[outcome]]` both decide the outcome: keep one"),
        ));
    }
    let fhir = match root.get("fhir") {
        Some(item) => {
            let section = root.inner(item, "[fhir]".to_owned())?;
            Some(fhir::rules(section, FhirRules::built_in().clone())?)
        }
        None => None,
    };
    root.finish()?;
    Ok(Mapping { delimiter, columns: columns.list, fields, skips, outcomes, fhir })
}

/// The columns that are referred to, each once.
#[derive(Default)]
struct Columns {
    list: Vec<ColumnRef>,
    places: HashMap<String, usize>,
}

impl Columns {
    fn place(&mut self, name: String, key: &str, line: usize) -> usize {
        *self.places.entry(name.clone()).or_insert_with(|| {
            self.list.push(ColumnRef { name, key: key.to_owned(), line });
            self.list.len() - 1
        })
    }
}

fn file(mut section: Section<'_>) -> Result<u8> {
    let line = section.line;
    let delimiter = section.string("delimiter")?.unwrap_or_else(|| ",".to_owned());
    section.finish()?;
    match delimiter.as_bytes() {
        [byte @ (b',' | b';' | b'\t' | b'|')] => Ok(*byte),
        _ => Err(error(line, "`delimiter` is one of \",\", \";\", \"|\" and \"\\t\"")),
    }
}

fn fields(section: &Section<'_>, columns: &mut Columns) -> Result<HashMap<String, ValueRule>> {
    let mut fields = HashMap::new();
    for (name, item) in section.entries() {
        let key = format!("columns.{name}");
        let rule = match item.value {
            DeValue::String(column) => {
                let from = From::Columns(vec![columns.place(column.to_string(), &key, item.line)]);
                plain(item.line, from)
            }
            DeValue::Table(_) => field(name, &key, section.inner(item, format!("[{key}]"))?, columns)?,
            _ => return Err(error(item.line, format!("`{key}` is a column's name or a table"))),
        };
        fields.insert(name.to_owned(), rule);
    }
    Ok(fields)
}

fn plain(line: usize, from: From) -> ValueRule {
    ValueRule {
        line,
        from,
        missing: Vec::new(),
        recode: Vec::new(),
        zero_below: None,
        missing_below: None,
        convert: None,
        round: false,
        prefix: None,
    }
}

fn field(name: &str, key: &str, mut section: Section<'_>, columns: &mut Columns) -> Result<ValueRule> {
    let line = section.line;
    let from = from(key, &mut section, columns)?;
    let mut rule = plain(line, from);
    if let Some(item) = section.get("missing") {
        rule.missing = scalars(item, "missing")?;
    }
    if let Some(item) = section.get("recode") {
        for (code, to) in section.inner(item, format!("[{key}.recode]"))?.entries() {
            rule.recode.push((code.to_owned(), scalar(to, "recode")?));
        }
    }
    rule.zero_below = section.number("zero_below")?;
    rule.missing_below = section.number("missing_below")?;
    rule.convert = convert(&mut section)?;
    rule.round = section.flag("round")?.unwrap_or(false);
    rule.prefix = section.string("prefix")?;
    let numeric =
        rule.zero_below.is_some() || rule.missing_below.is_some() || rule.convert.is_some() || rule.round;
    let constant = matches!(rule.from, From::Constant(_));
    if constant && (numeric || !rule.missing.is_empty() || !rule.recode.is_empty() || rule.prefix.is_some()) {
        return Err(error(line, format!("`{key}`: a constant is taken as it stands; remove the other keys")));
    }
    if rule.prefix.is_some() && !TEXT_FIELDS.contains(&name) {
        return Err(error(line, format!("`{key}`: `prefix` is for {}", TEXT_FIELDS.join(", "))));
    }
    let textual = TEXT_FIELDS.contains(&name) || OUTCOME_FIELDS.contains(&name);
    let mean = matches!(&rule.from, From::Columns(list) if list.len() > 1);
    if (numeric || mean) && (textual || name.ends_with("_at")) {
        return Err(error(
            line,
            format!("`{key}` is not a number: it takes neither a mean nor a conversion"),
        ));
    }
    section.finish()?;
    Ok(rule)
}

fn from(key: &str, section: &mut Section<'_>, columns: &mut Columns) -> Result<From> {
    let line = section.line;
    let place = |columns: &mut Columns, item: Item<'_>| {
        Ok(columns.place(string(item, "from")?, &format!("{key}.from"), item.line))
    };
    match (section.get("from"), section.get("constant")) {
        (Some(item), None) => match item.value {
            DeValue::Array(array) if !array.is_empty() => {
                let list = array
                    .iter()
                    .map(|value| place(columns, Item { value: value.get_ref(), line: item.line }))
                    .collect::<Result<Vec<_>>>()?;
                Ok(From::Columns(list))
            }
            _ => Ok(From::Columns(vec![place(columns, item)?])),
        },
        (None, Some(item)) => Ok(From::Constant(scalar(item, "constant")?)),
        _ => Err(error(line, format!("`{key}` needs either `from` or `constant`"))),
    }
}

fn convert(section: &mut Section<'_>) -> Result<Option<Convert>> {
    let line = section.line;
    let factor = section.number("factor")?.map(Convert::Factor);
    let Some(item) = section.get("convert") else {
        return Ok(factor);
    };
    let name = string(item, "convert")?;
    match (Convert::NAMED.iter().find(|(known, _)| *known == name), factor) {
        (Some((_, convert)), None) => Ok(Some(*convert)),
        (Some(_), Some(_)) => Err(error(line, "`convert` and `factor` exclude each other")),
        (None, _) => {
            let known = Convert::NAMED.map(|(name, _)| name).join("`, `");
            Err(error(item.line, format!("`convert` knows `{known}`, not `{name}`")))
        }
    }
}

fn skip(mut section: Section<'_>, columns: &mut Columns) -> Result<Skip> {
    let line = section.line;
    let reason = section.string("reason")?.filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or_else(|| error(line, "[[skip]] needs a `reason`"))?;
    let when = condition(&mut section, columns)?
        .ok_or_else(|| error(line, "[[skip]] needs `when` or `when_any`"))?;
    section.finish()?;
    Ok(Skip { reason: reason.into(), when })
}

fn outcomes(sections: Vec<Section<'_>>, columns: &mut Columns) -> Result<Vec<OutcomeRule>> {
    let count = sections.len();
    let mut rules = Vec::new();
    for (position, mut section) in sections.into_iter().enumerate() {
        let line = section.line;
        let when = condition(&mut section, columns)?;
        if when.is_none() != (position + 1 == count) {
            return Err(error(
                line,
                "the last [[outcome]] is for all other rows and has no condition; every other one has `when` or `when_any`",
            ));
        }
        let from = section.get("disease_code_from").map(|item| {
            let name = string(item, "disease_code_from")?;
            Ok(columns.place(name, "outcome.disease_code_from", item.line))
        });
        let rule = OutcomeRule {
            when,
            disease_code_from: from.transpose()?,
            severity: section.string("severity")?,
            rarity: section.string("rarity")?,
            disease_code: section.string("disease_code")?,
        };
        let unconfirmed = section.flag("unconfirmed")?.unwrap_or(false);
        let decided = rule.severity.is_some();
        let coded = rule.disease_code.is_some() || rule.disease_code_from.is_some();
        if unconfirmed == decided || (!decided && (rule.rarity.is_some() || coded)) {
            return Err(error(line, "[[outcome]] has either a `severity` or `unconfirmed = true`"));
        }
        if rule.disease_code.is_some() && rule.disease_code_from.is_some() {
            return Err(error(
                line,
                "[[outcome]]: `disease_code` and `disease_code_from` exclude each other",
            ));
        }
        section.finish()?;
        rules.push(rule);
    }
    Ok(rules)
}

fn condition(section: &mut Section<'_>, columns: &mut Columns) -> Result<Option<Condition>> {
    let mut condition = Condition::default();
    for (key, any) in [("when", false), ("when_any", true)] {
        let Some(item) = section.get(key) else {
            continue;
        };
        let name = format!("{} `{key}`", section.name);
        let tests = section.inner(item, name.clone())?;
        for (column, item) in tests.entries() {
            let column = columns.place(column.to_owned(), &format!("{key}.{column}"), item.line);
            let test = test(column, item, &tests, &name)?;
            if any { condition.any.push(test) } else { condition.all.push(test) }
        }
        if tests.entries().is_empty() {
            return Err(error(item.line, format!("{name} is empty")));
        }
    }
    let given = !(condition.all.is_empty() && condition.any.is_empty());
    Ok(given.then_some(condition))
}

fn test<'d>(column: usize, item: Item<'d>, tests: &Section<'d>, name: &str) -> Result<Test> {
    let DeValue::Table(_) = item.value else {
        return Ok(Test { column, is: Some(scalars(item, name)?), ..Test::default() });
    };
    let mut section = tests.inner(item, format!("{name}, a column's test"))?;
    let list = |found: Option<Item<'_>>, key: &str| found.map(|item| scalars(item, key)).transpose();
    let test = Test {
        column,
        is: list(section.get("is"), "is")?,
        not: list(section.get("not"), "not")?,
        starts_with: section.get("starts_with").map(|item| texts(item, "starts_with")).transpose()?,
        missing: section.flag("missing")?,
        below: section.number("below")?,
        above: section.number("above")?,
        at_least: section.number("at_least")?,
        at_most: section.number("at_most")?,
    };
    section.finish()?;
    if test == (Test { column, ..Test::default() }) {
        return Err(error(item.line, format!("{name}: a test is empty")));
    }
    Ok(test)
}
