# SPDX-License-Identifier: Apache-2.0
"""A strict reader of the Prometheus text format 0.0.4, with the conventions that
promtool asks for. Anything doubtful is an error."""

import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|\Z)')
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?\Z")
TYPES = ("counter", "gauge", "histogram")


class Wrong(AssertionError):
    pass


class Page:
    """families: name -> (type, help); samples: (name, labels) -> value, labels a
    sorted tuple of pairs."""

    def __init__(self, text):
        self.families, self.samples = {}, {}
        self.order = {}
        self.current = self.help = None
        if not text.endswith("\n"):
            raise Wrong("the last line has no end")
        for number, line in enumerate(text[:-1].split("\n"), 1):
            try:
                self.take(line)
            except Wrong as error:
                raise Wrong(f"line {number}: {error}: {line!r}") from None
        self.check_histograms()

    def take(self, line):
        if line.startswith("# HELP "):
            _, _, name, text = line.split(" ", 3)
            self.take_head(name, text)
        elif line.startswith("# TYPE "):
            self.take_type(*line.split(" ")[2:])
        else:
            self.take_sample(line)

    def take_head(self, name, text):
        if not NAME.match(name) or name in self.families:
            raise Wrong("no name, or one that came before")
        if not text.strip() or "\\" in text:
            raise Wrong("no help")
        self.current, self.help = name, text

    def take_type(self, name, kind):
        if name != self.current or name in self.families or kind not in TYPES:
            raise Wrong("TYPE does not follow its HELP")
        if (kind == "counter") != name.endswith("_total"):
            raise Wrong("counters, and they alone, end with _total")
        if re.search(r"_(bucket|sum|count)\Z", name) or \
                re.search(r"(milliseconds|minutes|kilobytes)", name):
            raise Wrong("not a name for such a metric")
        self.families[name] = (kind, self.help)

    def take_sample(self, line):
        match = SAMPLE.match(line)
        if not match:
            raise Wrong("not a sample")
        name, labels, value = match.groups()
        kind = self.families.get(self.current, ("",))[0]
        suffix = name[len(self.current or ""):]
        if not name.startswith(self.current or " ") or suffix not in (
                ("_bucket", "_sum", "_count") if kind == "histogram"
                else ("",)):
            raise Wrong("not of the metric that was announced")
        if not NUMBER.match(value):
            raise Wrong("not a number")
        if kind != "gauge" and value.startswith("-"):
            raise Wrong("below nothing")
        key = name, tuple(sorted(self.parse_labels(labels)))
        if key in self.samples:
            raise Wrong("came before")
        self.samples[key] = float(value) if "." in value else int(value)

    @staticmethod
    def parse_labels(text):
        if text is None:
            return []
        found, at = [], 0
        while at < len(text):
            match = LABEL.match(text, at)
            if not match:
                raise Wrong("labels")
            found.append((match[1], re.sub(
                r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2])))
            at = match.end()
        if not found or text.endswith(",") or \
                len({name for name, _ in found}) != len(found):
            raise Wrong("labels")
        return found

    def check_histograms(self):
        for name, (kind, _) in self.families.items():
            if kind != "histogram":
                continue
            series = {}
            for (full, labels), value in self.samples.items():
                if full != name + "_bucket":
                    continue
                bound = dict(labels)["le"]
                rest = tuple(pair for pair in labels if pair[0] != "le")
                series.setdefault(rest, []).append((float(bound), value))
            for rest, buckets in series.items():
                counts = [count for _, count in sorted(buckets)]
                if counts != sorted(counts) or sorted(buckets)[-1] != (
                        float("inf"), self.samples[name + "_count", rest]):
                    raise Wrong(f"{name}{rest} is no histogram")

    def get(self, name, **labels):
        """The one sample with exactly these labels; None: there is none."""
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def sum(self, name, **labels):
        """Of all samples that have these labels."""
        return sum(value for (full, have), value in self.samples.items()
                   if full == name and set(labels.items()) <= set(have))

    def label_names(self, name):
        return {tuple(sorted(key for key, _ in labels if key != "le"))
                for (full, labels) in self.samples
                if full in (name, name + "_bucket")}
