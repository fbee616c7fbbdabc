"""The tables of DeepLabCut and Lightning Pose: CSV and HDF5 files with three or four header rows.

A column has a scorer, an individual (multi-animal tables only), a body part and a coordinate
(``x``, ``y``, ``likelihood``, or a variance or median as smoothers write them); a row is an image, by its
name, or a frame, by its number.
"""

from __future__ import annotations

import csv
import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_semimultipose.errors import LabelsError
from napari_semimultipose.poses import FloatArray

_HEADERS = ("scorer", "individuals", "bodyparts", "coords")
_KEY = "df_with_missing"
SMOOTHED_COORDS = (
    "x_ens_median",
    "y_ens_median",
    "x_ens_var",
    "y_ens_var",
    "x_posterior_var",
    "y_posterior_var",
)
"""Columns of smoothed ensembles: median and variance of the members, variance that is left; px, px^2."""
VARIANCES = (
    ("x_posterior_var", "y_posterior_var"),
    ("x_ens_var", "y_ens_var"),
    ("x_var", "y_var"),
)
"""Columns of variances in px^2, the one that counts first."""
_MISSING = ("", "na", "n/a", "<na>", "null", "none")
_COORDS = {"x", "y", "likelihood", "visible", "x_var", "y_var", *SMOOTHED_COORDS}


@dataclass(frozen=True)
class Table:
    """Content of one file.

    Parameters
    ----------
    scorer : str
        Who labelled, or which network predicted.
    columns : list of (str, str, str)
        Individual (empty in single-animal tables), body part and coordinate of the C columns.
    index : list of str or list of int
        Names of the images, or numbers of the frames, of the F rows.
    values : array [F, C]
        Pixels and likelihoods, NaN where there is nothing.
    """

    scorer: str
    columns: list[tuple[str, str, str]]
    index: list[str] | list[int]
    values: FloatArray

    @property
    def multi(self) -> bool:
        """Whether the table has individuals."""
        return any(individual for individual, _, _ in self.columns)

    @property
    def named(self) -> bool:
        """Whether the rows are images rather than frames of a recording."""
        return bool(self.index) and isinstance(self.index[0], str)


def is_table(path: Path) -> bool:
    """Whether a CSV or HDF5 file looks like such a table."""
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig", errors="replace") as file:
                heads = {file.readline().split(",")[0].strip().lower() for _ in range(4)}
            return {"bodyparts", "coords"} <= heads
        import h5py

        with h5py.File(path, "r") as h5:
            return _frame_group(h5) is not None
    except OSError:
        return False


def read_table(path: Path) -> Table:
    """Read a CSV or HDF5 table.

    Raises
    ------
    LabelsError
        When it is no such table, is cut off, or names an image or a column twice.
    """
    table = _read_csv(path) if path.suffix.lower() == ".csv" else _read_hdf(path)
    for what, names in (("row", table.index), ("column", table.columns)):
        if len(set(names)) < len(names):
            twice = next(n for n in names if list(names).count(n) > 1)
            raise LabelsError(f"{path} has more than one {what} for {twice}: remove all but one")
    return table


def write_table(table: Table, path: Path) -> None:
    """Write a table, as CSV or, if the name ends with ``.h5``, as pandas' fixed HDF5 format."""
    if path.suffix.lower() == ".csv":
        _write_csv(table, path)
    else:
        _write_hdf(table, path)


# -------------------------------------------------------------------------------------------- CSV


def _read_csv(path: Path) -> Table:
    text = path.read_text(encoding="utf-8-sig")
    lines = text.splitlines()
    header = {}
    for row in csv.reader(lines[: len(_HEADERS)]):
        if row and row[0].strip().lower() in _HEADERS:
            header[row[0].strip().lower()] = [cell.strip() for cell in row]
    if not {"bodyparts", "coords"} <= header.keys():
        raise LabelsError(
            f"{path} is no DeepLabCut or Lightning Pose table: it needs header rows that begin "
            "with scorer, bodyparts and coords"
        )
    coords = header["coords"]
    lead = next((i for i, cell in enumerate(coords[1:], 1) if cell), len(coords))
    body = lines[len(header) :]
    last = next(csv.reader(body[-1:]), [])
    if text and not text.endswith("\n") and len(last) < len(coords):
        raise LabelsError(f"{path} is cut off in its last row: take another copy of it")
    for number, line in enumerate(body, len(header) + 1):
        if line.count(",") >= len(coords) and '"' not in line:
            raise LabelsError(f"line {number} of {path} has more cells than the header")
    rows = list(csv.reader(line for line in body if line.strip()))
    rows = [row + [""] * (len(coords) - len(row)) for row in rows]
    if rows and not any(
        cell.strip() for cell in rows[0]
    ):  # pandas leaves one for the name of the index
        del rows[0]
    columns, places = [], []
    for i in range(lead, len(coords)):
        if coords[i] in _COORDS:
            individual = header["individuals"][i] if "individuals" in header else ""
            columns.append((individual, header["bodyparts"][i], coords[i]))
            places.append(i)
    try:  # nothing missing: several times as quick
        values = np.array([[*map(float, row[lead:])] for row in rows], np.float64)
        values = values.reshape(len(rows), -1)[:, [i - lead for i in places]]
    except ValueError:
        values = np.array([[_number(row[i]) for i in places] for row in rows], np.float64)
    names = ["/".join(row[:lead]) for row in rows]
    scorers = header.get("scorer", [""])[lead:]
    return Table(
        scorers[0] if scorers else "",
        columns,
        _numbers(names) if lead == 1 else names,
        values.reshape(len(rows), len(columns)),
    )


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        if cell.strip().lower() in _MISSING:
            return float("nan")
        raise


def _numbers(names: list[str]) -> list[str] | list[int]:
    """Names as frame numbers, if all are."""
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return names
    if not all(n.is_integer() and n >= 0 for n in numbers):
        raise LabelsError("the rows of a table must be images or whole frame numbers from 0")
    return [int(n) for n in numbers]


def _write_csv(table: Table, path: Path) -> None:
    keys = _index_columns(table)
    lead = len(keys[0]) if keys else 1
    rows = [("scorer", [table.scorer] * len(table.columns))]
    if table.multi:
        rows.append(("individuals", [c[0] for c in table.columns]))
    rows.append(("bodyparts", [c[1] for c in table.columns]))
    rows.append(("coords", [c[2] for c in table.columns]))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for name, cells in rows:
            writer.writerow([name, *[""] * (lead - 1), *cells])
        names = io.StringIO()
        for key, values in zip(keys, table.values.tolist(), strict=True):
            # Numbers need no quotes, which the csv module would look for in each of them.
            names.seek(0)
            names.truncate()
            csv.writer(names, lineterminator="").writerow(key)
            cells = ["" if v != v else repr(v) for v in values]
            file.write(f"{','.join([names.getvalue(), *cells])}\n")


def _index_columns(table: Table) -> list[tuple[str, ...]]:
    """Index cells of each row: three for names as DeepLabCut writes them, otherwise one."""
    if not table.named:
        return [(str(i),) for i in table.index]
    parts = [tuple(str(name).split("/")) for name in table.index]
    if all(len(p) == 3 and p[0] == "labeled-data" for p in parts):
        return parts
    return [(str(name),) for name in table.index]


# ------------------------------------------------------------------------------------------- HDF5


def _read_hdf(path: Path) -> Table:
    import h5py

    with h5py.File(path, "r") as file:
        group = _frame_group(file)
        if group is None:
            raise LabelsError(f"{path} holds no table that pandas wrote, so it is not DeepLabCut's")
        if "table" in group:
            names, index, values = _table_format(group)
        else:
            names, index, values = _fixed_format(group)
    if not names or len(names[0]) not in (3, 4):
        raise LabelsError(f"the columns of {path} do not have three or four header rows")
    kept = [i for i, name in enumerate(names) if name[-1] in _COORDS]
    columns = [
        (names[i][1] if len(names[i]) == 4 else "", names[i][-2], names[i][-1]) for i in kept
    ]
    return Table(names[0][0], columns, index, values[:, kept].astype(np.float64))


def _frame_group(file: Any) -> Any:
    """Find the one group that is a pandas table."""
    import h5py

    groups = [g for g in file.values() if isinstance(g, h5py.Group) and "pandas_type" in g.attrs]
    return groups[0] if len(groups) == 1 else None


def _table_format(group: Any) -> tuple[list[tuple[str, ...]], Any, FloatArray]:
    table = group["table"][()]
    blocks = sorted(n for n in table.dtype.names if n.startswith("values_block_"))
    names: list[tuple[str, ...]] = []
    for block in blocks:
        names += _plain(group["table"].attrs[f"{block}_kind"])
    values = np.concatenate([table[b].reshape(len(table), -1) for b in blocks], 1)
    order = {name: i for i, name in enumerate(names)}
    wanted = [tuple(n) for n in _plain(group.attrs["non_index_axes"])[0][1]]
    levels = [table[n] for n in table.dtype.names if not n.startswith("values_block_")]
    return wanted, _index(levels), values[:, [order[name] for name in wanted]]


def _fixed_format(group: Any) -> tuple[list[tuple[str, ...]], Any, FloatArray]:
    names: list[tuple[str, ...]] = []
    blocks = []
    for i in range(int(group.attrs["nblocks"])):
        names += list(zip(*map(_text, _axis(group, f"block{i}_items")), strict=True))
        blocks.append(group[f"block{i}_values"][()])
    values = np.concatenate(blocks, 1)
    order = {name: i for i, name in enumerate(names)}
    wanted = list(zip(*map(_text, _axis(group, "axis0")), strict=True))
    return wanted, _index(_axis(group, "axis1")), values[:, [order[name] for name in wanted]]


def _axis(group: Any, name: str) -> list[Any]:
    """Arrays of the levels of an axis."""
    levels = group.attrs.get(f"{name}_nlevels")
    if levels is None:
        return [group[name][()]]
    return [
        group[f"{name}_level{i}"][()][group[f"{name}_label{i}"][()]] for i in range(int(levels))
    ]


def _index(levels: list[Any]) -> list[str] | list[int]:
    if len(levels) == 1 and np.issubdtype(levels[0].dtype, np.integer):
        return [int(i) for i in levels[0]]
    return ["/".join(parts) for parts in zip(*map(_text, levels), strict=True)]


def _text(values: Any) -> list[str]:
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist()]


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, tuples, numbers and texts, and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise LabelsError(f"the file holds a Python object ({module}.{name}), which is not opened")


def _plain(attribute: Any) -> Any:
    return _PlainUnpickler(io.BytesIO(bytes(attribute)), encoding="utf-8").load()


def _write_hdf(table: Table, path: Path) -> None:
    """Write pandas' fixed format, the one in which DeepLabCut itself writes its labels."""
    import h5py

    keep = 0 if table.multi else 1
    columns = [(table.scorer, *column[keep:]) for column in table.columns]
    names = _HEADERS if table.multi else ("scorer", "bodyparts", "coords")
    keys = _index_columns(table)
    with h5py.File(path, "w") as file:
        for place in (file, file.create_group(_KEY)):
            _attributes(place, CLASS="GROUP", TITLE="", VERSION="1.0")
        _attributes(file, PYTABLES_FORMAT_VERSION="2.1")
        group = file[_KEY]
        _attributes(group, pandas_type="frame", pandas_version="0.15.2", encoding="UTF-8")
        _attributes(group, errors="strict", axis0_variety="multi", block0_items_variety="multi")
        group.attrs["ndim"], group.attrs["nblocks"] = np.int64(2), np.int64(1)
        _array(group, "block0_values", table.values)
        for axis in ("axis0", "block0_items"):
            _levels(group, axis, columns, names)
        if table.named and keys:
            _attributes(group, axis1_variety="multi" if len(keys[0]) > 1 else "regular")
            if len(keys[0]) > 1:
                _levels(group, "axis1", keys, (None,) * len(keys[0]))
            else:
                _labels(group, "axis1", [key[0] for key in keys], None)
        else:
            _attributes(group, axis1_variety="regular")
            axis = _array(group, "axis1", np.array(table.index, np.int64))
            _attributes(axis, kind="integer", name=None)


def _levels(group: Any, axis: str, keys: Sequence[tuple[str, ...]], names: tuple) -> None:
    """Write a MultiIndex: for each level its different values, and their place in each key."""
    group.attrs[f"{axis}_nlevels"] = np.int64(len(names))
    for i, name in enumerate(names):
        values = list(dict.fromkeys(key[i] for key in keys))
        where = {value: j for j, value in enumerate(values)}
        level = _labels(group, f"{axis}_level{i}", values, name)
        _attributes(level, **{f"{axis}_name{name}": name})
        _array(group, f"{axis}_label{i}", np.array([where[key[i]] for key in keys], np.int32))


def _labels(group: Any, name: str, values: list[str], title: str | None) -> Any:
    array = _array(group, name, np.array([v.encode() for v in values], np.bytes_))
    _attributes(array, kind="string", name=title, nan_rep="nan")
    return array


def _array(group: Any, name: str, values: Any) -> Any:
    data = group.create_dataset(name, data=values)
    _attributes(data, CLASS="ARRAY", FLAVOR="numpy", TITLE="", VERSION="2.4")
    data.attrs["transposed"] = np.uint8(1)
    return data


def _attributes(place: Any, **values: str | None) -> None:
    """Write texts as PyTables does; it keeps None as the pickle ``N.``."""
    import h5py

    for key, value in values.items():
        if value == "":
            place.attrs[key] = h5py.Empty("S1")
        elif value is None:
            place.attrs[key] = np.bytes_(b"N.")
        else:
            kind = h5py.string_dtype("utf-8", len(value.encode()))
            place.attrs.create(key, value.encode(), dtype=kind)
