"""Compare: two to four scenarios of any kind side by side, from one link."""

from ui.compare import compare_page

compare_page()
