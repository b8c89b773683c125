//! The prototypes as bytes. What follows from the cases is computed again when they are read.

use serde::{Deserialize, Serialize};

use super::counts::Disease;
use super::network::DIM;
use super::open_set::OpenSet;
use super::prototype::{Case, Parent, Point, Sums};
use super::prototypes::{Prototype, Prototypes};
use super::tensors::{Reader, Writer};
use crate::Result;
use crate::prior::Prior;

const FILE: &str = "the prototypes";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    embedding: String,
    #[serde(default, skip_serializing_if = "Prior::is_cases")]
    prior: Prior,
    diseases: Vec<AboutDisease>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AboutDisease {
    disease: Disease,
    trained: bool,
    /// Diseases that are not trained always are.
    #[serde(default)]
    watched: bool,
    /// Identifiers, in the order of the points.
    withdrawn: Vec<String>,
    added: Vec<String>,
}

impl Prototypes {
    /// Everything, exactly: statistics in 64 bits, cases with their identifiers and points (safetensors).
    ///
    /// # Errors
    /// None that prototypes can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let ids = |cases: &[Case]| cases.iter().map(|case| case.id.clone()).collect();
        let diseases = self.prototypes.iter().map(|one| AboutDisease {
            disease: one.disease.clone(),
            trained: one.trained,
            watched: one.watched,
            withdrawn: ids(&one.withdrawn),
            added: ids(&one.added),
        });
        let about = About {
            embedding: self.embedding.to_string(),
            prior: self.prior.clone(),
            diseases: diseases.collect(),
        };
        let mut writer = Writer::new(FILE);
        let counted = self.prototypes.iter().map(|one| &one.counted);
        let counted = counted.flat_map(|sums| [sums.count, sums.squares].into_iter().chain(sums.sum));
        writer.put_f64("counted", &[self.prototypes.len(), 2 + DIM], counted);
        let parents = [&self.common, &self.orphan].into_iter();
        writer.put_f64(
            "parents",
            &[2, 1 + DIM],
            parents.flat_map(|parent| [parent.spread].into_iter().chain(parent.centre)),
        );
        let scalars = [self.unknown_spread, self.cases, self.typical, self.sharpness, self.open_set.cases];
        writer.put_f64("scalars", &[scalars.len()], scalars.into_iter());
        writer.put_f64(
            "open_set",
            &[self.open_set.tail.len(), 2],
            self.open_set.tail.iter().flatten().copied(),
        );
        let cases: Vec<&Case> =
            self.prototypes.iter().flat_map(|one| one.withdrawn.iter().chain(&one.added)).collect();
        writer.put_f32("points", &[cases.len(), DIM], cases.iter().flat_map(|case| case.point));
        let about = serde_json::to_string(&about).map_err(|error| crate::Error::malformed(FILE, error))?;
        writer.finish(Some(about))
    }

    /// # Errors
    /// When the bytes are not such prototypes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Prototypes> {
        let reader = Reader::open(FILE, bytes)?;
        let about: About = serde_json::from_str(reader.about()?).map_err(|error| reader.malformed(error))?;
        let counted = reader.f64("counted", &[about.diseases.len(), 2 + DIM])?;
        let parents = reader.f64("parents", &[2, 1 + DIM])?;
        let [unknown_spread, cases, typical, sharpness, measured]: [f64; 5] =
            reader.f64("scalars", &[5])?.try_into().map_err(|_| reader.malformed("scalars"))?;
        let [steps, _] = reader.shape("open_set")?;
        let tail = reader.f64("open_set", &[steps, 2])?;
        let held = about.diseases.iter().map(|one| one.withdrawn.len() + one.added.len()).sum();
        let points = reader.f32("points", &[held, DIM])?;
        let mut points = points.as_chunks::<DIM>().0.iter().copied();
        let mut parents = parents
            .chunks_exact(1 + DIM)
            .map(|numbers| Parent { spread: numbers[0], centre: point(&numbers[1..]) });
        let (Some(common), Some(orphan)) = (parents.next(), parents.next()) else {
            return Err(reader.malformed("parents"));
        };
        let positive = [unknown_spread, cases, typical, sharpness, common.spread, orphan.spread];
        if positive.iter().any(|&number| number <= 0.0) {
            return Err(reader.malformed("a spread or a number of cases is not positive"));
        }
        let mut prototypes = Vec::with_capacity(about.diseases.len());
        for (one, numbers) in about.diseases.into_iter().zip(counted.chunks_exact(2 + DIM)) {
            let counted = Sums { count: numbers[0], squares: numbers[1], sum: point(&numbers[2..]) };
            let mut cases = |ids: Vec<String>| {
                ids.into_iter().zip(&mut points).map(|(id, point)| Case { id, point }).collect()
            };
            let (withdrawn, added): (Vec<Case>, Vec<Case>) = (cases(one.withdrawn), cases(one.added));
            let parent = if one.disease.orphan { &orphan } else { &common };
            let place = parent.place(&counted, added.iter());
            prototypes.push(Prototype {
                disease: one.disease,
                trained: one.trained,
                watched: one.watched || !one.trained,
                counted,
                withdrawn,
                added,
                place,
            });
        }
        let open_set = OpenSet { cases: measured, tail: tail.as_chunks::<2>().0.to_vec() };
        Ok(Prototypes {
            embedding: about.embedding.into(),
            common,
            orphan,
            unknown_spread,
            cases,
            typical,
            sharpness,
            open_set,
            prior: about.prior,
            prototypes,
        })
    }
}

fn point(numbers: &[f64]) -> Point {
    std::array::from_fn(|d| numbers.get(d).copied().unwrap_or_default())
}
