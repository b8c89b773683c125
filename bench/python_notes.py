"""The peer of `bench/run notes`: scikit-learn's tf-idf of character n-grams and the nearest mean of a few notes a class.

Reads the same file of notes and draws as ours and writes the nearest class of every query: by NearestCentroid as it is (Euclidean
distance to the mean), and by the cosine with the mean, which suits such vectors better.
"""
import json
import sys

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize


def answer(notes, draw):
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    vectorizer.fit([notes[note] for note in draw["corpus"]])
    support = vectorizer.transform([notes[note] for one in draw["support"] for note in one])
    query = vectorizer.transform([notes[note] for note in draw["query"]])
    classes = np.repeat(np.arange(len(draw["support"])), [len(one) for one in draw["support"]])
    euclidean = NearestCentroid().fit(support, classes).predict(query)
    means = normalize(np.vstack([np.asarray(support[classes == one].mean(axis=0)) for one in range(len(draw["support"]))]))
    return {"euclidean": euclidean.tolist(), "cosine": np.asarray(query @ means.T).argmax(axis=1).tolist()}


def main():
    with open(sys.argv[1]) as file:
        task = json.load(file)
    json.dump({"draws": [answer(task["notes"], draw) for draw in task["draws"]]}, sys.stdout)


if __name__ == "__main__":
    main()
