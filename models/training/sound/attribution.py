"""Writes models/sound/ATTRIBUTION.csv, every ESC clip used: python attribution.py DATA"""
import csv
import sys
from pathlib import Path

FIELDS = ["set", "file", "label", "licence", "author", "source_url", "attribution"]


def main():
    data, out, seen = Path(sys.argv[1]), Path(__file__).resolve().parents[2] / "sound/ATTRIBUTION.csv", 0
    with open(out, "w", newline="") as f:
        table = csv.DictWriter(f, FIELDS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for name, folder in (("ESC-10", "esc10"), ("ESC-50", "esc50_fold4")):
            with open(data / folder / "labels.csv") as g:
                for row in csv.DictReader(g):
                    if row.get("also_in_esc10") != "1":
                        table.writerow({"set": name, **row})
                        seen += 1
    print(seen, "clips")


if __name__ == "__main__":
    main()
