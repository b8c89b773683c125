//! The prototypes of all diseases, and the cases that move those of orphan diseases.

use std::sync::Arc;

use super::counts::{Disease, DiseaseCounts};
use super::embedding::Embedded;
use super::network::DIM;
use super::open_set::OpenSet;
use super::prototype::{Case, Parent, Place, Point, Sums, far, squared_distance};
use crate::prior::Prior;
use crate::{Error, Result};

/// One prototype per disease that has cases, in one embedding.
///
/// The diseases of the training cohort come first, in its order; new orphan diseases, which were
/// first seen after training, follow by code.
#[derive(Debug, Clone, PartialEq)]
pub struct Prototypes {
    pub(super) embedding: Arc<str>,
    pub(super) common: Parent,
    pub(super) orphan: Parent,
    /// Variance per dimension of an orphan disease that nobody has seen yet.
    pub(super) unknown_spread: f64,
    /// Cases of the training cohort.
    pub(super) cases: f64,
    /// Cases of a typical orphan disease of the training cohort: their median.
    pub(super) typical: f64,
    /// What every log density is multiplied by: the dimensions of an embedding are not independent, and
    /// their sum is surer than it should be. Fitted, see [`Prototypes::calibrate`].
    pub(super) sharpness: f64,
    pub(super) open_set: OpenSet,
    /// How frequent orphan diseases are beside each other.
    pub(super) prior: Prior,
    pub(super) prototypes: Vec<Prototype>,
}

/// One disease.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prototype {
    pub(super) disease: Disease,
    /// Whether the training cohort has cases, so that the gate knows the disease.
    pub(super) trained: bool,
    /// Whether the disease has an alarm of its own: the gate does not find it yet.
    pub(super) watched: bool,
    /// The training cohort's cases, less those that were withdrawn.
    pub(super) counted: Sums,
    /// Cases of the training cohort that were withdrawn since.
    pub(super) withdrawn: Vec<Case>,
    /// Cases confirmed since, in the order in which they came.
    pub(super) added: Vec<Case>,
    pub(super) place: Place,
}

/// What a case did to its disease's prototype.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moved {
    /// Distance that the prototype moved.
    pub by: f64,
    /// The most that one case more may move it; none for the first case of a new disease.
    pub bound: Option<f64>,
    /// Distance of the case from the prototype of the disease's other cases, in root mean square distances
    /// of a case from its prototype; none where it is the only case.
    pub distance: Option<f64>,
    /// The case lies so far from the others that somebody should look at it.
    pub flagged: bool,
    /// Cases of the disease now.
    pub cases: f64,
}

/// A case that was added, as seen by the disease's other cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Held<'a> {
    pub id: &'a str,
    pub distance: Option<f64>,
    pub flagged: bool,
}

impl Prototypes {
    /// Fits the prototypes of all diseases with cases. `z` are the embedded patients that the rows of `counts` stand for.
    ///
    /// # Errors
    /// When the shapes do not fit or there is no common disease to compare with.
    pub fn fit(z: &Embedded, counts: &DiseaseCounts) -> Result<Prototypes> {
        if counts.rows() != z.rows() {
            return Err(Error::shape("rows of the counts of diseases", z.rows(), counts.rows()));
        }
        let of_disease = |disease: usize| {
            let mut sums = Sums::default();
            for &(row, count) in counts.of(disease) {
                if let Some(point) = z.point(row as usize) {
                    sums.add(point, count);
                }
            }
            sums
        };
        let seen: Vec<(&Disease, Sums)> = counts
            .diseases()
            .iter()
            .enumerate()
            .map(|(j, disease)| (disease, of_disease(j)))
            .filter(|(_, sums)| sums.count > 0.0)
            .collect();
        let means = |orphan: bool| {
            seen.iter().filter(move |(disease, _)| disease.orphan == orphan).map(|(_, sums)| sums.mean())
        };
        let common = mean_of(means(false)).ok_or_else(|| {
            Error::Invalid(
                "prototypes need cases of a common disease or of healthy people to compare with".into(),
            )
        })?;
        let orphan = mean_of(means(true)).unwrap_or(common);
        let spread = pooled_spread(&seen, &common, &orphan);
        let (common, orphan) = (Parent { centre: common, spread }, Parent { centre: orphan, spread });
        let prototypes: Vec<Prototype> = seen
            .iter()
            .map(|(disease, counted)| {
                let parent = if disease.orphan { &orphan } else { &common };
                Prototype {
                    disease: (*disease).clone(),
                    trained: true,
                    watched: false,
                    counted: *counted,
                    withdrawn: Vec::new(),
                    added: Vec::new(),
                    place: parent.place(counted, [].iter()),
                }
            })
            .collect();
        let mut fitted = Prototypes {
            embedding: z.embedding().into(),
            unknown_spread: spread + between(&prototypes, &common, &orphan),
            common,
            orphan,
            cases: seen.iter().map(|(_, sums)| sums.count).sum(),
            typical: median(
                seen.iter().filter(|(disease, _)| disease.orphan).map(|(_, sums)| sums.count).collect(),
            ),
            sharpness: 1.0,
            open_set: OpenSet::default(),
            prior: Prior::Cases,
            prototypes,
        };
        fitted.calibrate(z, counts)?;
        Ok(fitted)
    }

    /// The same with other weights of orphan diseases beside each other. What was calibrated stays as it was.
    #[must_use]
    pub fn weighed(mut self, prior: Prior) -> Prototypes {
        self.prior = prior;
        for at in 0..self.prototypes.len() {
            self.know(at);
        }
        self
    }

    /// Looks up how frequent an orphan disease is.
    fn know(&mut self, at: usize) {
        if let Some(Prototype { disease, .. }) = self.prototypes.get(at).filter(|one| one.disease.orphan) {
            self.prior.learn(&disease.code);
        }
    }

    /// Digest of the embedding whose points these are.
    pub fn embedding(&self) -> &str {
        &self.embedding
    }

    /// The orphan diseases: those of the training cohort, then the new ones.
    pub fn orphans(&self) -> impl Iterator<Item = &Disease> {
        self.prototypes.iter().map(|prototype| &prototype.disease).filter(|disease| disease.orphan)
    }

    /// The orphan diseases with an alarm of their own, in the order of [`super::Margins::novelty`]: those that the training cohort had no case
    /// of, and those of [`Prototypes::watch`].
    pub fn watched(&self) -> impl Iterator<Item = &Disease> {
        self.prototypes.iter().filter(|prototype| prototype.watched).map(|prototype| &prototype.disease)
    }

    /// Gives the orphan diseases with these codes an alarm of their own though the training cohort knows them, and takes it from
    /// all others that it knows.
    pub fn watch(&mut self, codes: &[String]) {
        for prototype in self.prototypes.iter_mut().filter(|prototype| prototype.trained) {
            prototype.watched = prototype.disease.orphan && codes.contains(&prototype.disease.code);
        }
    }

    /// Cases of a disease now: of the training cohort, less the withdrawn, and added since; 0 of one that is not known.
    pub fn cases(&self, code: &str) -> f64 {
        self.find(code).map_or(0.0, |prototype| prototype.place.count)
    }

    /// The fitted factor of the log densities, see [`Prototypes::calibrate`].
    pub fn sharpness(&self) -> f64 {
        self.sharpness
    }

    /// Sets the factor of the log densities to one fitted on cases that are not among these.
    pub fn set_sharpness(&mut self, sharpness: f64) {
        self.sharpness = sharpness;
    }

    /// Sufficient statistics of a disease's counted cases, without the added ones: cases, sum of |z|^2, sum of z.
    pub fn statistics(&self, code: &str) -> Option<[f64; 2 + DIM]> {
        let Sums { count, squares, sum } = self.find(code)?.counted;
        Some(std::array::from_fn(|i| match i {
            0 => count,
            1 => squares,
            _ => sum[i - 2],
        }))
    }

    /// Cases of the training cohort that were withdrawn: the gate has learnt from them, and does until it
    /// is trained again.
    pub fn withdrawn(&self) -> usize {
        self.prototypes.iter().map(|prototype| prototype.withdrawn.len()).sum()
    }

    /// The added cases of a disease, each measured by the others, in the order in which they came.
    pub fn held(&self, code: &str) -> Vec<Held<'_>> {
        let Some(prototype) = self.find(code) else { return Vec::new() };
        let measured = prototype.added.iter().map(|case| {
            let distance = self.distance_from_others(prototype, case);
            Held { id: &case.id, distance, flagged: distance.is_some_and(far) }
        });
        measured.collect()
    }

    /// Adds one confirmed case of an orphan disease, known or new, at a point of this embedding. None when the
    /// very same case is held already.
    ///
    /// # Errors
    /// When the disease is common, the point is of another embedding, or another case has the identifier.
    pub fn add(&mut self, disease: &Disease, id: &str, point: &Embedded) -> Result<Option<Moved>> {
        let point = self.one(point)?;
        if let Some((held_by, case)) = self.case(id) {
            return match held_by.disease.code == disease.code && case.point == point {
                true => Ok(None),
                false => Err(Error::Invalid(format!(
                    "the case {id} is held with other contents: correct it instead"
                ))),
            };
        }
        self.insert(disease, Case { id: id.to_owned(), point }).map(Some)
    }

    /// Gives an added case another disease or another point; adds it where it is not held. None when nothing changes.
    ///
    /// # Errors
    /// As [`Prototypes::add`].
    pub fn correct(&mut self, disease: &Disease, id: &str, point: &Embedded) -> Result<Option<Moved>> {
        let new = self.one(point)?;
        let Some((held_by, case)) = self.case(id) else { return self.add(disease, id, point) };
        if held_by.disease.code != disease.code {
            self.check_orphan(disease)?;
            self.withdraw(id);
            return self.insert(disease, Case { id: id.to_owned(), point: new }).map(Some);
        }
        if case.point == new {
            return Ok(None);
        }
        let code = disease.code.as_str();
        let before = self.find(code).map(|prototype| prototype.place);
        for case in
            self.prototypes.iter_mut().flat_map(|prototype| &mut prototype.added).filter(|case| case.id == id)
        {
            case.point = new;
        }
        Ok(self.moved(code, id, before))
    }

    /// Takes an added case back, as if it had never come; whether it was held.
    pub fn withdraw(&mut self, id: &str) -> bool {
        let Some(at) =
            self.prototypes.iter().position(|prototype| prototype.added.iter().any(|case| case.id == id))
        else {
            return false;
        };
        self.prototypes[at].added.retain(|case| case.id != id);
        self.refresh(at);
        self.prototypes.retain(|prototype| prototype.trained || !prototype.added.is_empty());
        true
    }

    /// Takes back a case that the training cohort counts, by its point; whether it had not been taken back before.
    ///
    /// # Errors
    /// When the point is of another embedding or the training cohort has no case of the disease left.
    pub fn withdraw_trained(&mut self, code: &str, id: &str, point: &Embedded) -> Result<bool> {
        let point = self.one(point)?;
        let at = self.prototypes.iter().position(|prototype| {
            prototype.disease.code == code && prototype.disease.orphan && prototype.trained
        });
        let Some(at) = at else {
            return Err(Error::Invalid(format!(
                "the training cohort has no case of the orphan disease {code}"
            )));
        };
        let prototype = &mut self.prototypes[at];
        if prototype.withdrawn.iter().any(|case| case.id == id) {
            return Ok(false);
        }
        if prototype.counted.count < 1.0 {
            return Err(Error::Invalid(format!("all training cases of {code} were withdrawn already")));
        }
        prototype.counted.add(&point, -1.0);
        prototype.withdrawn.push(Case { id: id.to_owned(), point });
        self.refresh(at);
        Ok(true)
    }

    pub(super) fn find(&self, code: &str) -> Option<&Prototype> {
        self.prototypes.iter().find(|prototype| prototype.disease.code == code)
    }

    /// The added case with this identifier, and its disease.
    fn case(&self, id: &str) -> Option<(&Prototype, &Case)> {
        self.prototypes
            .iter()
            .find_map(|prototype| Some((prototype, prototype.added.iter().find(|case| case.id == id)?)))
    }

    fn one(&self, point: &Embedded) -> Result<[f32; DIM]> {
        point.check(&self.embedding)?;
        match point.points() {
            [point] if point.iter().all(|z| z.is_finite()) => Ok(*point),
            [_] => Err(Error::Invalid("the point of a case is not finite".into())),
            points => Err(Error::shape("points of one case", 1, points.len())),
        }
    }

    fn check_orphan(&self, disease: &Disease) -> Result<()> {
        let known = self.find(&disease.code).is_none_or(|prototype| prototype.disease.orphan);
        match disease.orphan && known {
            true => Ok(()),
            false => Err(Error::Invalid(format!(
                "{} is not an orphan disease: its cases count from the next training on",
                disease.code
            ))),
        }
    }

    fn insert(&mut self, disease: &Disease, case: Case) -> Result<Moved> {
        self.check_orphan(disease)?;
        let before = self.find(&disease.code).map(|prototype| prototype.place);
        let id = case.id.clone();
        let at = match self.prototypes.iter().position(|prototype| prototype.disease.code == disease.code) {
            Some(at) => at,
            None => {
                let at = self
                    .prototypes
                    .partition_point(|prototype| prototype.trained || prototype.disease.code < disease.code);
                let (counted, place) = (Sums::default(), self.orphan.place(&Sums::default(), [].iter()));
                let new = Prototype {
                    disease: disease.clone(),
                    trained: false,
                    watched: true,
                    counted,
                    withdrawn: Vec::new(),
                    added: Vec::new(),
                    place,
                };
                self.prototypes.insert(at, new);
                self.know(at);
                at
            }
        };
        self.prototypes[at].added.push(case);
        self.moved(&disease.code, &id, before)
            .ok_or_else(|| Error::Invalid(format!("the case {id} was lost")))
    }

    /// Renews the prototype after its case `id` changed, and says what that did.
    fn moved(&mut self, code: &str, id: &str, before: Option<Place>) -> Option<Moved> {
        let at = self.prototypes.iter().position(|prototype| prototype.disease.code == code)?;
        self.refresh(at);
        let prototype = &self.prototypes[at];
        let case = prototype.added.iter().find(|case| case.id == id)?;
        let others = prototype.place.count - 1.0;
        let distance = self.distance_from_others(prototype, case);
        Some(Moved {
            by: squared_distance(
                &before.map_or(self.orphan.centre, |place| place.centre),
                &prototype.place.centre,
            )
            .sqrt(),
            bound: (others > 0.0).then(|| self.orphan.bound(others)),
            distance,
            flagged: distance.is_some_and(far),
            cases: prototype.place.count,
        })
    }

    fn distance_from_others(&self, prototype: &Prototype, case: &Case) -> Option<f64> {
        let others = prototype.added.iter().filter(|other| other.id != case.id);
        let others = self.orphan.place(&prototype.counted, others);
        (others.count > 0.0).then(|| others.distance(&case.point))
    }

    fn refresh(&mut self, at: usize) {
        let prototype = &mut self.prototypes[at];
        let parent = if prototype.disease.orphan { &self.orphan } else { &self.common };
        prototype.place = parent.place(&prototype.counted, prototype.added.iter());
    }
}

fn mean_of(points: impl Iterator<Item = Point>) -> Option<Point> {
    let mut sums = ([0.0; DIM], 0.0);
    for point in points {
        sums.0.iter_mut().zip(point).for_each(|(sum, z)| *sum += z);
        sums.1 += 1.0;
    }
    (sums.1 > 0.0).then(|| sums.0.map(|sum| sum / sums.1))
}

/// Variance per dimension of all cases round their diseases' centres. Not below what 32-bit points resolve.
fn pooled_spread(seen: &[(&Disease, Sums)], common: &Point, orphan: &Point) -> f64 {
    let (mut scatter, mut count) = (0.0, 0.0);
    for (disease, sums) in seen {
        let parent = Parent { centre: if disease.orphan { *orphan } else { *common }, spread: 0.0 };
        scatter += sums.scatter(&parent.shrunk(&sums.mean(), sums.count));
        count += sums.count;
    }
    (scatter / (DIM as f64 * count)).max(1e-9)
}

/// Variance per dimension of the centres of orphan diseases round their mean; of the common ones where there are not two orphan diseases.
fn between(prototypes: &[Prototype], common: &Parent, orphan: &Parent) -> f64 {
    let of = |kind: bool, parent: &Parent| {
        let distances: Vec<f64> = prototypes
            .iter()
            .filter(|prototype| prototype.disease.orphan == kind)
            .map(|prototype| squared_distance(&prototype.place.centre, &parent.centre))
            .collect();
        (distances.len() >= 2).then(|| distances.iter().sum::<f64>() / (distances.len() * DIM) as f64)
    };
    of(true, orphan).or_else(|| of(false, common)).unwrap_or_default()
}

/// The lower median; 1 of nothing.
fn median(mut counts: Vec<f64>) -> f64 {
    counts.sort_by(f64::total_cmp);
    counts.get(counts.len().saturating_sub(1) / 2).copied().unwrap_or(1.0)
}
