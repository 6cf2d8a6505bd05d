"""Lets RecBole 1.2.1 run on current NumPy and SciPy. Import it before `recbole`.

RecBole itself sets the aliases that NumPy 1.24 removed (`np.float` and so on), but from names that
NumPy 2 removed in turn; and it fills its adjacency with a private method of SciPy's matrices of
keys that is gone.
"""

import numpy as np
import scipy.sparse


def _update(self, cells):
    # What the method of SciPy 1.10 did: no check of the cells.
    self._dict.update(cells)


np.float_, np.complex_, np.unicode_ = np.float64, np.complex128, np.str_
scipy.sparse.dok_matrix._update = _update
