"""Who is told of an incident, when, and in which words: routes, quiet hours, contents. Pure; imports no airflow."""
