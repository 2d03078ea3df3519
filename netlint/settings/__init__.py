"""Around the settings file: reading it, telling where in it a mistake is, explaining it, its schema, a first one."""
