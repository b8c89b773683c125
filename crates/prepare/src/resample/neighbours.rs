//! The k nearest other cases of every case, exactly, over counted cells.
//!
//! A cell with n cases stands for n cases at distance 0 from each other. Where the cases at the distance of the
//! last place are more than the places left, each choice among them is equally likely; which one a list of rows
//! would take depends on the order of the rows.
//!
//! Speed comes from the finite domain: distinct patients instead of rows, and few combinations of categories.
//! Points are filed by combination and sorted along the widest number; a search visits the combinations in the
//! order of their distance and walks outwards from the point's own place, until what is left cannot be near enough.

use super::class::Class;

/// The nearest other cases of each case of one point.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Neighbourhood {
    /// (point, cases): all these cases are among the nearest.
    pub(super) certain: Vec<(u32, u64)>,
    /// (point, cases): `open` of these cases, each choice equally likely.
    pub(super) tied: Vec<(u32, u64)>,
    pub(super) open: usize,
}

/// Points filed by combination of categories.
#[derive(Debug)]
pub(super) struct Index<'a> {
    class: &'a Class,
    /// The number that points are sorted along.
    axis: usize,
    combinations: Vec<Combination>,
    /// Combination of every point.
    of_point: Vec<usize>,
}

#[derive(Debug)]
struct Combination {
    /// (level on the axis, point), ascending.
    points: Vec<(u32, u32)>,
}

impl<'a> Index<'a> {
    pub(super) fn new(class: &'a Class) -> Index<'a> {
        let variance = |axis: &usize| class.variance(*axis);
        let axis =
            (0..class.axes.numbers.len()).max_by(|a, b| variance(a).total_cmp(&variance(b))).unwrap_or(0);
        let mut order: Vec<u32> = (0..class.len() as u32).collect();
        let place = |point: u32| (class.categories(point as usize), class.numbers(point as usize).get(axis));
        order.sort_by(|&a, &b| place(a).cmp(&place(b)));
        let mut index = Index { class, axis, combinations: Vec::new(), of_point: vec![0; class.len()] };
        let mut last: Option<&[u32]> = None;
        for point in order {
            let (categories, level) = place(point);
            if last != Some(categories) {
                index.combinations.push(Combination { points: Vec::new() });
                last = Some(categories);
            }
            index.of_point[point as usize] = index.combinations.len() - 1;
            if let Some(combination) = index.combinations.last_mut() {
                combination.points.push((level.copied().unwrap_or_default(), point));
            }
        }
        index
    }

    /// The neighbourhood of every point, in the points' order. The class has more than `k` cases.
    pub(super) fn neighbourhoods(&self, k: usize) -> Vec<Neighbourhood> {
        let mut all = vec![Neighbourhood::default(); self.class.len()];
        for home in 0..self.combinations.len() {
            let near = self.by_mismatches(home);
            for &(level, point) in &self.combinations[home].points {
                all[point as usize] = self.search(point as usize, level, &near, k);
            }
        }
        all
    }

    /// (squared distance in the categories, combination) from one combination, nearest first.
    fn by_mismatches(&self, home: usize) -> Vec<(f64, usize)> {
        let categories = |combination: &Combination| {
            combination.points.first().map_or(&[][..], |&(_, point)| self.class.categories(point as usize))
        };
        let here = categories(&self.combinations[home]);
        let mut near: Vec<(usize, usize)> = self
            .combinations
            .iter()
            .enumerate()
            .map(|(i, other)| (here.iter().zip(categories(other)).filter(|(a, b)| a != b).count(), i))
            .collect();
        near.sort_unstable();
        near.into_iter().map(|(mismatches, i)| (mismatches as f64 * self.class.mismatch, i)).collect()
    }

    fn search(&self, point: usize, level: u32, near: &[(f64, usize)], k: usize) -> Neighbourhood {
        let mut nearest = Nearest::new(k);
        for &(base, combination) in near {
            if nearest.beyond(base) {
                break;
            }
            let points = &self.combinations[combination].points;
            let here = points.partition_point(|&(other, _)| other < level);
            let mut visit = |&(other_level, other): &(u32, u32)| {
                let along = self.class.axes.numbers.get(self.axis);
                if nearest.beyond(base + along.map_or(0.0, |axis| axis.distance(level, other_level))) {
                    return false;
                }
                // The case itself is not its own neighbour; its twins are.
                let own = u64::from(other as usize == point);
                let cases = self.class.cases[other as usize] - own;
                nearest.offer(base + self.class.numeric_distance(point, other as usize), other, cases);
                true
            };
            // Both directions in turns, so that the bound shrinks early.
            let (mut up, mut down) = (points[here..].iter(), points[..here].iter().rev());
            let (mut upwards, mut downwards) = (true, true);
            while upwards || downwards {
                upwards = upwards && up.next().is_some_and(&mut visit);
                downwards = downwards && down.next().is_some_and(&mut visit);
            }
        }
        nearest.finish()
    }
}

/// The nearest cases so far, with all that tie for the last place.
struct Nearest {
    k: u64,
    /// (squared distance, point, cases), ascending by distance.
    found: Vec<(f64, u32, u64)>,
    /// Sum of the cases found.
    cases: u64,
}

impl Nearest {
    fn new(k: usize) -> Nearest {
        Nearest { k: k as u64, found: Vec::with_capacity(k + 4), cases: 0 }
    }

    /// The squared distance from which on nobody is needed, itself excepted.
    fn bound(&self) -> f64 {
        match self.found.last() {
            Some(&(farthest, ..)) if self.cases >= self.k => farthest,
            _ => f64::INFINITY,
        }
    }

    /// Whether nobody at this squared distance or farther is needed, whatever rounding did to the sums.
    fn beyond(&self, distance: f64) -> bool {
        distance * (1.0 - 1e-9) > self.bound()
    }

    fn offer(&mut self, distance: f64, point: u32, cases: u64) {
        let distance = comparable(distance);
        if cases == 0 || distance > self.bound() {
            return;
        }
        let place = self.found.partition_point(|&(other, ..)| other <= distance);
        self.found.insert(place, (distance, point, cases));
        self.cases += cases;
        // The farthest distance goes where the nearer ones fill the places.
        while let Some(&(farthest, ..)) = self.found.last() {
            let start = self.found.partition_point(|&(other, ..)| other < farthest);
            let last: u64 = self.found[start..].iter().map(|&(.., cases)| cases).sum();
            if self.cases - last < self.k {
                break;
            }
            self.found.truncate(start);
            self.cases -= last;
        }
    }

    fn finish(self) -> Neighbourhood {
        let farthest = self.found.last().map_or(0.0, |&(distance, ..)| distance);
        let start = self.found.partition_point(|&(other, ..)| other < farthest);
        let (certain, tied) = self.found.split_at(start);
        let cases = |of: &[(f64, u32, u64)]| of.iter().map(|&(_, point, cases)| (point, cases)).collect();
        let sure: u64 = certain.iter().map(|&(.., cases)| cases).sum();
        let (mut certain, mut tied): (Vec<_>, Vec<_>) = (cases(certain), cases(tied));
        let mut open = self.k.saturating_sub(sure);
        // Nothing is open where all that tie have a place.
        if tied.iter().map(|&(_, cases)| cases).sum::<u64>() <= open {
            certain.append(&mut tied);
            open = 0;
        }
        // In an order that the search does not decide.
        certain.sort_unstable();
        tied.sort_unstable();
        Neighbourhood { certain, tied, open: open as usize }
    }
}

/// Sums of the same squares in another order may differ in their last bits: those are cut off, so that equal
/// distances are equal.
fn comparable(distance: f64) -> f64 {
    f64::from_bits(distance.to_bits() & !0xfff)
}

#[cfg(test)]
mod tests {
    use clinical::Study;
    use proptest::prelude::*;

    use super::super::class::{Axes, Number};
    use super::*;

    fn class(counted: &[([usize; 5], u64)], weights: [f64; 2]) -> Class {
        let study = Study::default_study();
        let [age, days] = weights;
        let axes = Axes {
            numbers: vec![Number { feature: 0, weight: age }, Number { feature: 4, weight: days }],
            categories: vec![(1, 2), (2, 4), (3, 5)],
        };
        let mut cells: Vec<(usize, u64)> =
            counted.iter().map(|(levels, cases)| (study.domain().cell(levels), *cases)).collect();
        cells.sort_unstable();
        cells.dedup_by_key(|(cell, _)| *cell);
        Class::new(study, &axes, cells.into_iter())
    }

    /// By the definition: every other case, sorted by distance.
    fn by_definition(class: &Class, point: usize, k: u64) -> Neighbourhood {
        let mut others: Vec<(f64, u32, u64)> = (0..class.len())
            .map(|other| {
                let pairs = class.categories(point).iter().zip(class.categories(other));
                let mismatches = pairs.filter(|(a, b)| a != b).count() as f64;
                let distance = mismatches * class.mismatch + class.numeric_distance(point, other);
                (comparable(distance), other as u32, class.cases[other] - u64::from(other == point))
            })
            .filter(|&(.., cases)| cases > 0)
            .collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        let up_to = |distance: f64| others.iter().filter(|o| o.0 <= distance).map(|o| o.2).sum::<u64>();
        let last = others.iter().find(|o| up_to(o.0) >= k).unwrap().0;
        let chosen = |keep: &dyn Fn(f64) -> bool| {
            let mut chosen: Vec<(u32, u64)> =
                others.iter().filter(|o| keep(o.0)).map(|o| (o.1, o.2)).collect();
            chosen.sort_unstable();
            chosen
        };
        if up_to(last) == k {
            return Neighbourhood { certain: chosen(&|d| d <= last), tied: Vec::new(), open: 0 };
        }
        let certain = chosen(&|d| d < last);
        let sure: u64 = certain.iter().map(|(_, cases)| cases).sum();
        Neighbourhood { certain, tied: chosen(&|d| d == last), open: (k - sure) as usize }
    }

    proptest! {
        #[test]
        fn the_search_finds_what_the_definition_says(
            counted in proptest::collection::vec(((0usize..12, 0usize..2, 0usize..4, 0usize..3, 0usize..8)
                .prop_map(|(a, b, c, d, e)| [a, b, c, d, e]), 1u64..4), 7..60),
            k in 1usize..7,
            equal_units in any::<bool>(),
            constant in any::<bool>(),
        ) {
            let mut counted = counted;
            if constant {
                // The numbers of the class do not vary: categories then cost nothing.
                counted.iter_mut().for_each(|(levels, _)| (levels[0], levels[4]) = (3, 3));
            }
            let weights = if equal_units { [0.01, 0.01] } else { [120f64.powi(-2), 31f64.powi(-2)] };
            let class = class(&counted, weights);
            prop_assume!(class.total() > k as u64);
            let found = Index::new(&class).neighbourhoods(k);
            for (point, found) in found.iter().enumerate() {
                prop_assert_eq!(found, &by_definition(&class, point, k as u64));
            }
        }
    }

    #[test]
    fn the_case_itself_is_no_neighbour_but_its_twins_are() {
        let far = [60, 0, 0, 0, 20];
        let class = class(&[([30, 0, 0, 0, 10], 1), ([31, 0, 0, 0, 10], 3), (far, 1)], [1.0, 1.0]);
        let found = Index::new(&class).neighbourhoods(2);
        assert_eq!(found[0], Neighbourhood { certain: vec![], tied: vec![(1, 3)], open: 2 });
        assert_eq!(found[1], Neighbourhood { certain: vec![(1, 2)], tied: vec![], open: 0 });
    }

    #[test]
    fn a_category_costs_the_median_deviation() {
        // Ages 30 and 34 (deviation 2), days 10 and 16 (deviation 3): the median of two is their mean.
        let class = class(&[([30, 0, 0, 0, 10], 1), ([34, 1, 0, 0, 16], 1)], [1.0, 1.0]);
        assert!((class.mismatch - 2.5f64.powi(2)).abs() < 1e-12);
    }
}
