"""One table at the end of a bench: figures, ratios, bars held or missed; and the machine that they belong to."""
import importlib.metadata
import os
import platform


def machine(packages=()):
    """A line on the machine and the peers' versions, and a warning when the machine is not quiet."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    lines = [f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"]
    if packages:
        lines.append(", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages))
    load = os.getloadavg()[0]
    if load > 0.7:
        lines.append(f"NOTE: other work was running (load average {load:.1f} at the start): wall times and rates are not to be trusted")
    return "\n".join(lines)


def table(head, rows):
    """Text table: first column left, the others right."""
    cells = [list(map(str, row)) for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [[row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))] for row in cells]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(line) for line in lines)


class Bars:
    """Bars of a bench and whether they were held."""

    def __init__(self):
        self.rows = []

    def at_least(self, what, value, bar, unit="x"):
        self.rows.append((what, f"{value:,.4g}{unit}", f">= {bar:g}{unit}", value >= bar))

    def at_most(self, what, value, bar, unit=""):
        self.rows.append((what, f"{value:.4g}{unit}", f"<= {bar:g}{unit}", value <= bar))

    def holds(self, what, value, bar, held):
        self.rows.append((what, value, bar, held))

    def finish(self):
        """Prints the bars; the exit status: 0 all held, 3 not all."""
        print("\n" + table(["bar", "measured", "wanted", ""], [(*row[:3], "held" if row[3] else "MISSED") for row in self.rows]))
        return 0 if all(row[3] for row in self.rows) else 3
