"""For all floors: a property's examples may take as long as a busy machine needs."""

import hypothesis

hypothesis.settings.register_profile("corral", deadline=None)
hypothesis.settings.load_profile("corral")
