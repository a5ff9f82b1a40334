"""A Markdown table of medians.

Reads lines of `row<TAB>column<TAB>figure`, one a round, and prints each cell as the median of its
figures, with the least and the greatest. Rows and columns come in the order of their first lines.

    table.py --title TEXT [--ratio NAME=COLUMN/COLUMN[,COLUMN...]]... [--less-is-better] FILE

A ratio compares the first column's median with the best of the others; above 1 the first is better.
"""

import argparse
import statistics


def read(path):
    cells = {}
    rows, columns = [], []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row, column, figure = line.rstrip("\n").split("\t")
            if row not in rows:
                rows.append(row)
            if column not in columns:
                columns.append(column)
            cells.setdefault((row, column), []).append(float(figure))
    return rows, columns, cells


def number(figure):
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def cell(figures):
    if not figures:
        return ""
    if len(figures) == 1:
        return number(figures[0])
    return f"{number(statistics.median(figures))} ({number(min(figures))}–{number(max(figures))})"


def ratio(cells, row, own, others, less_is_better):
    peers = [statistics.median(cells[row, other]) for other in others if (row, other) in cells]
    if (row, own) not in cells or not peers:
        return ""
    mine = statistics.median(cells[row, own])
    if less_is_better:
        return f"{min(peers) / mine:.2f}" if mine else ""
    return f"{mine / max(peers):.2f}" if max(peers) else ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--title", required=True)
    parser.add_argument("--ratio", action="append", default=[])
    parser.add_argument("--less-is-better", action="store_true")
    parser.add_argument("file")
    options = parser.parse_args()
    rows, columns, cells = read(options.file)
    ratios = []
    for text in options.ratio:
        name, _, formula = text.partition("=")
        own, _, others = formula.partition("/")
        ratios.append((name, own, others.split(",")))
    heads = [options.title] + columns + [name for name, _, _ in ratios]
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        line = [row] + [cell(cells.get((row, column), [])) for column in columns]
        line += [ratio(cells, row, own, others, options.less_is_better)
                 for _, own, others in ratios]
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    main()
