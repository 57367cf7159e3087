"""Task groups that are built from a tool's own compiled description: dbt's manifest, a TFX pipeline's nodes."""
