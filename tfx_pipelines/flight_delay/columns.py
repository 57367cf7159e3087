"""The columns of ``flight_features`` that the model reads, by what is done with them; TFX interpreter.

Temperature, dew point, humidity, gusts and pressure are left out on purpose: over a window of a few weeks their level
says which week it is, and the model that learns that does worse in the next one (AUC 0.700 with, 0.714 without).
"""

LABEL = "is_late"
TIME = "flight_date"

# Each becomes a word of one shared vocabulary.
CATEGORIES = ("carrier", "origin", "dest", "scheduled_hour", "day_of_week")

# Scaled to mean 0 and variance 1; a missing value becomes the mean.
NUMBERS = (
    "distance_miles",
    "scheduled_minute_of_day",
    "origin_scheduled_departures_1h",
    "wind_speed_mph",
    "precipitation_inches",
    "visibility_miles",
    "network_landed_3h",
    "network_late_share_3h",
    "origin_landed_4h",
    "origin_late_share_4h",
    "dest_late_share_12h",
    "carrier_late_share_24h",
    "route_late_share_14d",
)

# As NUMBERS, but on a signed logarithmic scale first: minutes and hours with long tails on one or both sides.
LONG_TAILED = ("origin_departure_delay_4h", "plane_last_arrival_delay", "plane_hours_since_landing")

# Whether this one is missing is itself an input: the plane has not flown out of New York lately.
PRESENCE_OF = "plane_last_arrival_delay"

# Models are evaluated by each of these; evaluation_schema.pbtxt must have them.
SLICES = ("carrier", "origin")

FEATURES = (*CATEGORIES, *NUMBERS, *LONG_TAILED)

# What preprocessing_fn hands to the model.
TRANSFORMED_WORDS = "words"
TRANSFORMED_NUMBERS = "numbers"
