// Comfort only: every page works without it. Hooked by data- attributes.
"use strict";
