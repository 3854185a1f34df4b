"""What the three consumers do with a token: one call of the broker's API."""

import urllib.error
import urllib.request


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would send the token to wherever a redirect points."""

    def redirect_request(self, *args, **kwargs):
        return None


def call(url: str, access_token: str) -> str:
    """Returns what GET url with the token is answered: its status, or why there is none."""
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + access_token})
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=10) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return f"nothing ({error})"
