"""Chooses the statistics to compare with; TFX interpreter."""

from tfx.dsl.components.common import resolver


class EarlierStatisticsStrategy(resolver.ResolverStrategy):
    """Resolves to the newest statistics, or to none; TFX's LatestArtifactStrategy would fail the first run."""

    def resolve_artifacts(self, store, input_dict):
        return {key: sorted(artifacts, key=lambda artifact: artifact.id)[-1:] for key, artifacts in input_dict.items()}
