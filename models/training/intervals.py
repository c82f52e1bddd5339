"""95 % intervals of what is counted."""
from scipy.stats import chi2

Z = 1.96


def wilson(hits, n):
    """Of a share (Wilson 1927)."""
    p = hits / n
    centre, half = p + Z * Z / (2 * n), Z * (p * (1 - p) / n + Z * Z / (4 * n * n)) ** 0.5
    return [round(max(0.0, centre - half) / (1 + Z * Z / n), 3), round((centre + half) / (1 + Z * Z / n), 3)]


def poisson(events, hours):
    """Of a rate an hour, from events that know nothing of each other (Garwood 1936)."""
    low = chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return [round(float(low / hours), 1), round(float(chi2.ppf(0.975, 2 * events + 2) / 2 / hours), 1)]
