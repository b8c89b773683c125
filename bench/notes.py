"""Rare diseases from a handful of described cases: 5-shot classification of published cases over the 78 largest diseases.

The cases of samples/notes (phenopackets) become short notes: their findings by HPO label, those that were looked for and not found as
denials. A draw takes five cases of each disease; every other case of these diseases whose publication gave no support case is a query, so that
no publication stands on both sides. Prototypes are the means of the support notes, tf-idf is learned from notes of other diseases and the
support, from no publication that a query comes from. Beside it, scikit-learn on the same notes and draws.

How the channels are mixed and the prototypes softened was chosen on the smaller diseases, none of the 78 (--choose repeats that).

Not part of the bar, beside it: the same with the denied findings (what a publication's tables list as absent tells much of the disease
that its authors had in mind), and age and sex alone. Then MTSamples, urology or surgery by cross-validation; and the product's note model on
top of what structured values say: of the 20 largest diseases by age and sex, and of the two specialties by their shares.
"""
import argparse
import csv
import gzip
import json
import random
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

import measure
from report import Bars, machine, table

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "samples"
SHOTS, QUERIES, DISEASES, BAR = 5, 5, 78, 0.63


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--peer-draws", type=int, default=20, help="draws that scikit-learn takes part in, the first ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--choose", action="store_true", help="only compare exponents and weights, on the smaller diseases")
    return parser.parse_args()


def rows(name):
    with gzip.open(SAMPLES / "notes" / name, "rt", newline="") as file:
        return list(csv.DictReader(file))


class Cases:
    """The published cases, and which diseases are asked about."""

    def __init__(self):
        with open(SAMPLES / "vocabulary" / "hpo.tsv") as file:
            labels = dict(line.rstrip("\n").split("\t") for line in file)
        self.rows = rows("phenopackets_rare_cases.csv.gz")
        self.publication = ["_".join(row["id"].split("_")[:2]) for row in self.rows]
        codes = lambda row, name: [code for code in row[name].split("|") if code]
        self.codes = [(codes(row, "hpo_present"), codes(row, "hpo_excluded")) for row in self.rows]
        self.present = [f"Findings: {', '.join(labels[code] for code in here)}." for here, _ in self.codes]
        self.full = [note + "".join(f" No {labels[code]}." for code in denied) for note, (_, denied) in zip(self.present, self.codes)]
        self.of_disease = defaultdict(list)
        for case, row in enumerate(self.rows):
            self.of_disease[row["disease_id"]].append(case)
        largest_first = sorted(self.of_disease, key=lambda disease: (-len(self.of_disease[disease]), disease))
        possible = [disease for disease in largest_first if self.divisible(disease, QUERIES)]
        self.eligible, self.diseases = len(possible), possible[:DISEASES]
        self.smaller = [disease for disease in largest_first if self.divisible(disease, 1) and disease not in self.diseases]

    def divisible(self, disease, queries):
        """Whether its publications can be divided into some with five cases and others with `queries`."""
        sizes, sums = Counter(self.publication[case] for case in self.of_disease[disease]), {0}
        for size in sizes.values():
            sums |= {total + size for total in sums}
        return any(total >= SHOTS and len(self.of_disease[disease]) - total >= queries for total in sums)

    def draw(self, rng, diseases, queries, kept_out=()):
        """A draw of these diseases, and the disease of each query; `kept_out`: diseases that nothing is learned from."""
        while True:
            support = [self.support(disease, rng, queries) for disease in diseases]
            taken = {self.publication[case] for cases in support for case in cases}
            left = [[case for case in self.of_disease[disease] if self.publication[case] not in taken] for disease in diseases]
            if all(left):
                break
        query = [case for cases in left for case in cases]
        truth = [disease for disease, cases in enumerate(left) for _ in cases]
        asked, among = {self.publication[case] for case in query}, {*diseases, *kept_out}
        corpus = [case for case, row in enumerate(self.rows) if row["disease_id"] not in among and self.publication[case] not in asked]
        return {"corpus": corpus + [case for cases in support for case in cases], "support": support, "query": query}, truth

    def support(self, disease, rng, queries):
        """Five cases from as few randomly ordered publications as have them, with `queries` cases left in the others."""
        by_publication = defaultdict(list)
        for case in self.of_disease[disease]:
            by_publication[self.publication[case]].append(case)
        while True:
            order = sorted(by_publication)
            rng.shuffle(order)
            pool = []
            for publication in order:
                if len(pool) >= SHOTS:
                    break
                pool += by_publication[publication]
            if len(pool) >= SHOTS and len(self.of_disease[disease]) - len(pool) >= queries:
                return rng.sample(pool, SHOTS)


def scores(truths, answers):
    """Hits and queries by draw and disease."""
    hits, asked = np.zeros((len(truths), DISEASES)), np.zeros((len(truths), DISEASES))
    for draw, (truth, answer) in enumerate(zip(truths, answers)):
        np.add.at(asked[draw], truth, 1)
        np.add.at(hits[draw], truth, np.equal(truth, answer))
    return hits, asked


def summary(hits, asked, seed=0, replicates=2000):
    """Top-1 over all queries and as a mean over diseases; the middle 95 % of single draws; an interval over diseases."""
    micro, macro = hits.sum(1) / asked.sum(1), (hits / asked).mean(1)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, DISEASES, (replicates, DISEASES))
    total_hits, total_asked = hits.sum(0), asked.sum(0)
    resampled = total_hits[chosen].sum(1) / total_asked[chosen].sum(1)
    return {"top1": micro.mean(), "draws": np.quantile(micro, [0.025, 0.975]), "diseases": np.quantile(resampled, [0.025, 0.975]), "macro": macro.mean()}


def age_and_sex(cases, draw):
    """Nearest mean of age (scaled) and sex; an unknown one is the mean of the corpus."""
    age = np.array([float(row["age_years"]) if row["age_years"] else np.nan for row in cases.rows])
    sex = np.array([{"FEMALE": 0.0, "MALE": 1.0}.get(row["sex"], np.nan) for row in cases.rows])
    columns = np.stack([age, sex], axis=1)
    mean, spread = np.nanmean(columns[draw["corpus"]], axis=0), np.nanstd(columns[draw["corpus"]], axis=0)
    columns = np.nan_to_num((columns - mean) / spread)
    means = np.stack([columns[support].mean(0) for support in draw["support"]])
    return ((columns[draw["query"]][:, None] - means[None]) ** 2).sum(2).argmin(1)


def extraction(cases, found):
    """How much of what was written is read as it was meant: share of coded findings found, and of found ones that are coded."""
    right = coded = told = 0
    for (present, denied), seen in zip(cases.codes, found):
        expected = {(code, "affirmed") for code in present} | {(code, "negated") for code in denied}
        seen = {tuple(one) for one in seen}
        right, coded, told = right + len(expected & seen), coded + len(expected), told + len(seen)
    return right / coded, right / told


def specialties():
    """Notes of urology (0) or surgery (1); those that stand under both are left out."""
    found = defaultdict(set)
    for row in rows("mtsamples_notes.csv.gz"):
        found[row["transcription"].strip()].add(row["medical_specialty"].strip())
    labelled = sorted((text, *of) for text, of in found.items() if len(of) == 1 and of <= {"Urology", "Surgery"})
    return [text for text, _ in labelled], np.array([name == "Surgery" for _, name in labelled], int)


def folds_of(truth, seed, folds):
    """Stratified folds."""
    fold = np.zeros(len(truth), int)
    for one in np.unique(truth):
        members = np.flatnonzero(truth == one)
        np.random.default_rng([*seed, one]).shuffle(members)
        fold[members] = np.arange(len(members)) % folds
    return fold


def evidence_of_specialties(ours, folder, seed, repeats=5, folds=5):
    """The note model beside a prior that knows only how many notes either specialty has."""
    notes, truth = specialties()
    splits, asked = [], []
    for repeat in range(repeats):
        fold = folds_of(truth, [seed, repeat], folds)
        for held in range(folds):
            inside, query = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
            prior = [float(share) for share in np.bincount(truth[inside], minlength=2) / len(inside)]
            inner = folds_of(truth[inside], [seed, repeat, held], folds)
            train = [{"note": int(note), "fold": int(one), "outcome": int(truth[note]), "prior": prior} for note, one in zip(inside, inner)]
            splits.append({"train": train, "query": [{"note": int(note), "prior": prior} for note in query]})
            asked.append(query)
    answers = evidence(ours, folder, notes, 2, splits)
    return judged([split["query"] for split in splits], answers, [truth[query] for query in asked], np.concatenate(asked))


class AgeAndSex:
    """P(disease | age, sex): share of cases, a normal law of ln(1 + years), and a smoothed share of the sexes; missing values tell nothing."""

    def __init__(self, age, sex, truth, outcomes):
        shares = np.bincount(truth, minlength=outcomes) + 1.0
        self.shares, self.outcomes = np.log(shares / shares.sum()), outcomes
        known = np.isfinite(age)
        mean, spread = age[known].mean(), age[known].std()
        pull = 5.0  # cases at the common mean and spread that every disease starts with
        self.mean, self.spread, self.female = np.zeros(outcomes), np.zeros(outcomes), np.zeros(outcomes)
        for one in range(outcomes):
            own = age[known & (truth == one)]
            self.mean[one] = (own.sum() + pull * mean) / (len(own) + pull)
            self.spread[one] = np.sqrt((((own - self.mean[one]) ** 2).sum() + pull * spread**2) / (len(own) + pull))
            sexes = sex[(truth == one) & np.isfinite(sex)]
            self.female[one] = ((sexes == 0).sum() + 1) / (len(sexes) + 2)

    def __call__(self, age, sex):
        logs = np.tile(self.shares, (len(age), 1))
        known = np.isfinite(age)
        logs[known] += -((age[known, None] - self.mean) ** 2) / (2 * self.spread**2) - np.log(self.spread)
        known = np.isfinite(sex)
        logs[known] += np.log(np.where(sex[known, None] == 0, self.female, 1 - self.female))
        p = np.exp(logs - logs.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)


def publication_folds(publications, folds, rng):
    """All cases of a publication in one fold, folds of about equal size."""
    sizes = Counter(publications)
    order = sorted(sizes)
    rng.shuffle(order)
    load, fold = [0] * folds, {}
    for publication in sorted(order, key=lambda one: -sizes[one]):
        fold[publication] = min(range(folds), key=load.__getitem__)
        load[fold[publication]] += sizes[publication]
    return np.array([fold[publication] for publication in publications])


def evidence_of_cases(ours, folder, cases, notes, seed, diseases=20, folds=5):
    """The note model beside a model of age and sex, on the largest diseases, cross-validated by publication."""
    chosen = cases.diseases[:diseases]
    members = [case for disease in chosen for case in cases.of_disease[disease]]
    truth = np.array([at for at, disease in enumerate(chosen) for _ in cases.of_disease[disease]])
    age = np.array([np.log1p(float(cases.rows[case]["age_years"])) if cases.rows[case]["age_years"] else np.nan for case in members])
    sex = np.array([{"FEMALE": 0.0, "MALE": 1.0}.get(cases.rows[case]["sex"], np.nan) for case in members])
    publications = [cases.publication[case] for case in members]
    fold = publication_folds(publications, folds, random.Random(seed))
    splits, asked = [], []
    for held in range(folds):
        inside, query = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        inner = publication_folds([publications[at] for at in inside], folds, random.Random(seed * 7 + held))
        prior = np.zeros((len(inside), diseases))
        for one in range(folds):
            learn, score = inside[inner != one], inside[inner == one]
            prior[inner == one] = AgeAndSex(age[learn], sex[learn], truth[learn], diseases)(age[score], sex[score])
        final = AgeAndSex(age[inside], sex[inside], truth[inside], diseases)(age[query], sex[query])
        train = [{"note": members[at], "fold": int(one), "outcome": int(truth[at]), "prior": p.tolist()} for at, one, p in zip(inside, inner, prior)]
        splits.append({"train": train, "query": [{"note": members[at], "prior": p.tolist()} for at, p in zip(query, final)]})
        asked.append(query)
    answers = evidence(ours, folder, notes, diseases, splits)
    clusters = [publications[at] for at in np.concatenate(asked)]
    return judged([split["query"] for split in splits], answers, [truth[query] for query in asked], clusters)


def evidence(ours, folder, notes, outcomes, splits):
    path = Path(folder) / "evidence.json"
    path.write_text(json.dumps({"notes": notes, "outcomes": outcomes, "splits": splits}))
    return json.loads(measure.run([*ours, path]).out)


def judged(queries, answers, truths, clusters, replicates=2000):
    """Accuracy and log loss without and with the notes, and the gain in log loss with an interval over clusters."""
    truth = np.concatenate(truths)
    without = np.array([one["prior"] for query in queries for one in query])
    with_notes = np.array([p for answer in answers for p in answer["probabilities"]])
    loss = lambda p: -np.log(np.maximum(p[np.arange(len(truth)), truth], 1e-300))
    gain = loss(without) - loss(with_notes)
    names, place = np.unique(np.asarray(clusters).astype(str), return_inverse=True)
    sums, sizes = np.bincount(place, gain), np.bincount(place)
    chosen = np.random.default_rng(0).integers(0, len(names), (replicates, len(names)))
    return {
        "accuracy": [(p.argmax(1) == truth).mean() for p in (without, with_notes)],
        "log_loss": [loss(p).mean() for p in (without, with_notes)],
        "gain": np.quantile(sums[chosen].sum(1) / sizes[chosen].sum(1), [0.025, 0.975]),
        "factors": [np.mean([report["report"][name] for report in answers]) for name in ("term_factor", "ngram_factor")],
    }


def specialty(ours, folder, seed, repeats=10, folds=5):
    """Urology or surgery by the nearest prototype: accuracy per repeat of stratified cross-validation."""
    notes, truth = specialties()
    draws = []
    for repeat in range(repeats):
        fold = folds_of(truth, [seed, repeat], folds)
        for held in range(folds):
            train = np.flatnonzero(fold != held)
            support = [[int(case) for case in train if truth[case] == one] for one in (0, 1)]
            draws.append({"corpus": [int(case) for case in train], "support": support, "query": [int(case) for case in np.flatnonzero(fold == held)]})
    answers = answer(ours, folder, "mtsamples", notes, draws)[0]["draws"]
    query = np.concatenate([draw["query"] for draw in draws])
    result = {}
    for channel in ("terms", "ngrams", "both"):
        right = np.concatenate([one[channel] for one in answers]) == truth[query]
        per_note = np.array([right[query == note].mean() for note in range(len(truth))])
        chosen = np.random.default_rng(seed).integers(0, len(truth), (2000, len(truth)))
        result[channel] = (per_note.mean(), *np.quantile(per_note[chosen].mean(1), [0.025, 0.975]))
    return len(truth), max(truth.mean(), 1 - truth.mean()), result


def answer(command, folder, name, notes, draws, **choices):
    """What a side answers, and what it cost."""
    path = Path(folder) / f"{name}.json"
    path.write_text(json.dumps({"notes": notes, "draws": draws, **choices}))
    cost = measure.run([*command, path])
    return json.loads(cost.out), cost


def choose(cases, ours, given, folder):
    """Top-1 on the smaller diseases for every pair of exponent and weight."""
    few = max(1, given.draws // 4)
    drawn = [cases.draw(random.Random(given.seed * 2_000_003 + draw), cases.smaller, 1, cases.diseases) for draw in range(few)]
    draws, rows = [draw for draw, _ in drawn], []
    for exponent in (1.0, 0.75, 0.5, 0.35, 0.25):
        for weight in (0.25, 0.5, 1.0):
            answers = answer(ours, folder, "choose", cases.present, draws, exponent=exponent, ngram_weight=weight)[0]["draws"]
            micro = np.mean([np.equal(truth, one["both"]).mean() for (_, truth), one in zip(drawn, answers)])
            rows.append((exponent, weight, f"{micro:.3f}"))
    print(f"\n{len(cases.smaller)} smaller diseases, {few} draws\n\n" + table(["exponent", "weight of n-grams", "top-1"], rows))


def main():
    given = arguments()
    ours, peer = [given.binaries / "examples" / "note_prototypes"], [sys.executable, HERE / "python_notes.py"]
    print(machine(["numpy", "scikit-learn"]), flush=True)
    cases = Cases()
    drawn = [cases.draw(random.Random(given.seed * 1_000_003 + draw), cases.diseases, QUERIES) for draw in range(given.draws)]
    draws, truths = [draw for draw, _ in drawn], [truth for _, truth in drawn]
    folder = tempfile.mkdtemp(prefix="hoofbeat-bench-")
    try:
        if given.choose:
            return choose(cases, ours, given, folder)
        print("==> ours", file=sys.stderr, flush=True)
        present, _ = answer(ours, folder, "present", cases.present, draws)
        full, _ = answer(ours, folder, "full", cases.full, draws)
        print("==> scikit-learn", file=sys.stderr, flush=True)
        few = draws[: given.peer_draws]
        theirs, peer_cost = answer(peer, folder, "few", cases.present, few)
        same, our_cost = answer(ours, folder, "few", cases.present, few)
        notes, majority, by_specialty = specialty(ours, folder, given.seed)
        model = [given.binaries / "examples" / "note_evidence"]
        beside = {
            "20 diseases, age and sex; findings": evidence_of_cases(model, folder, cases, cases.present, given.seed),
            "20 diseases, age and sex; findings and denials": evidence_of_cases(model, folder, cases, cases.full, given.seed),
            "urology or surgery, shares alone; notes": evidence_of_specialties(model, folder, given.seed),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    of = lambda result, channel: scores(truths[: len(result["draws"])], [draw[channel] for draw in result["draws"]])
    lines = {
        "findings: terms + n-grams": summary(*of(present, "both")),
        "findings: terms": summary(*of(present, "terms")),
        "findings: n-grams": summary(*of(present, "ngrams")),
        "with denials: terms + n-grams": summary(*of(full, "both")),
        "with denials: n-grams": summary(*of(full, "ngrams")),
        "age and sex": summary(*scores(truths, [age_and_sex(cases, draw) for draw in draws])),
        f"n-grams, first {len(few)} draws": summary(*of(same, "ngrams")),
        f"terms + n-grams, first {len(few)} draws": summary(*of(same, "both")),
        f"scikit-learn, cosine, first {len(few)} draws": summary(*of(theirs, "cosine")),
        f"scikit-learn, NearestCentroid, first {len(few)} draws": summary(*of(theirs, "euclidean")),
    }
    interval = lambda pair: f"{pair[0]:.3f}-{pair[1]:.3f}"
    queries = np.array([len(draw["query"]) for draw in draws])
    print(f"\n{len(cases.rows):,} published cases; {cases.eligible} diseases can be divided, the largest {DISEASES} are asked about "
          f"(at least {min(len(cases.of_disease[d]) for d in cases.diseases)} cases); {given.draws} draws of {queries.min():,} to {queries.max():,} queries; "
          f"chance {1 / DISEASES:.3f}\n")
    print(table(["5-shot top-1", "all queries", "95 % of draws", "95 % over diseases", "mean of diseases"],
                [(name, f"{s['top1']:.3f}", interval(s["draws"]), interval(s["diseases"]), f"{s['macro']:.3f}") for name, s in lines.items()]))
    found, right = extraction(cases, full["found"])
    print(f"\nof the findings written, with their denials, {found:.1%} were read as meant; of those read {right:.1%} were written")
    print(f"CPU for {len(few)} draws: ours {our_cost.cpu:.1f} s (terms and n-grams), scikit-learn {peer_cost.cpu:.1f} s (n-grams); "
          f"peak memory {our_cost.peak_mib:,.0f} and {peer_cost.peak_mib:,.0f} MiB")
    print(f"\nMTSamples, urology or surgery, {notes} notes, 10 x 5-fold cross-validation; always the larger one: {majority:.3f}\n")
    print(table(["accuracy", "mean", "95 % over notes"], [(name, f"{mean:.3f}", interval((low, high))) for name, (mean, low, high) in by_specialty.items()]))
    print("\nthe note model on top of structured values (publications, or notes, apart in every split)\n")
    print(table(["beside", "accuracy without", "with", "log loss without", "with", "gain, 95 %", "factors: terms, n-grams"],
                [(name, *(f"{value:.3f}" for value in (*one["accuracy"], *one["log_loss"])), interval(one["gain"]),
                  ", ".join(f"{factor:.2f}" for factor in one["factors"])) for name, one in beside.items()]))
    bars = Bars()
    bars.at_least(f"5-shot top-1 over {DISEASES} diseases, findings only", lines["findings: terms + n-grams"]["top1"], BAR, "")
    bars.at_least("CPU: scikit-learn / ours", peer_cost.cpu / our_cost.cpu, 1)
    sys.exit(bars.finish())


if __name__ == "__main__":
    main()
