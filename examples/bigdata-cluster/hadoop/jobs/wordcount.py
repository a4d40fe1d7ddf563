"""Count the words of a text: spark-submit /jobs/wordcount.py TEXT RESULT (both where every node finds them).

The workers read TEXT and write RESULT, a folder of lines "COUNT WORD". A word is a run of ASCII letters, in lower case.
What this prints, one line a worker: its host name, and how many words it read.
"""

import collections
import re
import socket
import sys
from collections.abc import Iterable, Iterator

from pyspark import AccumulatorParam
from pyspark.sql import SparkSession

WORD = re.compile("[A-Za-z]+")


class PerWorker(AccumulatorParam):
    """Sums by host name, added up over all tasks."""

    def zero(self, value):
        return collections.Counter()

    def addInPlace(self, value1, value2):  # noqa: N802 - pyspark's name
        value1.update(value2)
        return value1


def main(text: str, result: str) -> None:
    spark = SparkSession.builder.appName("word count").getOrCreate()
    words_read = spark.sparkContext.accumulator(collections.Counter(), PerWorker())

    def count(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
        tally = collections.Counter(word.lower() for line in lines for word in WORD.findall(line))
        words_read.add(collections.Counter({socket.gethostname(): tally.total()}))
        return iter(tally.items())

    counts = spark.sparkContext.textFile(text, minPartitions=12).mapPartitions(count).reduceByKey(lambda a, b: a + b)
    counts.map(lambda item: f"{item[1]} {item[0]}").saveAsTextFile(result)
    for worker, words in sorted(words_read.value.items()):
        print(f"{worker} read {words} words")  # noqa: T201
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
